"""Access to the endpoint: none for web pages or without the key pair, S3 alone for instances."""

import hashlib
import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from dask_bake import clouds
from dask_bake.ec2 import api
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.errors import BakeError, NotAwsResponseError
from dask_bake.local.credentials import Credentials
from dask_bake.local.gateway.door import Door
from dask_bake.local.signature import signed_headers
from fake_local_cloud import DEBIAN, listening_at, refusal
from fakes import FakeClock
from isolation import KEY_PAIR

RUN = {
    "Action": "RunInstances",
    "Version": "2016-11-15",
    "ImageId": DEBIAN.id,
    "MinCount": "1",
    "MaxCount": "1",
}
STRANGER = Credentials("LOCALCLOUD0000000000", "a guess")
ORIGINS = ["https://evil.example", "http://127.0.0.1:8000", "null", ""]


def signed(url: str, body: bytes = b"", *, method: str = "POST", key: Credentials = KEY_PAIR, service="ec2"):
    return signed_headers(key, method, url, body, service=service)


def client(cloud, service: str, key: Credentials, url: str | None = None):
    return boto3.client(
        service,
        "us-east-1",
        endpoint_url=url or cloud.url,
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


# Web pages


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["/", "/dask-data/a", "/_dask_bake/faults", "/moto-api/reset"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_request_of_a_web_page_is_refused(cloud, method, path, origin):
    url = cloud.url + path
    headers = {**signed(url, method=method), "Origin": origin}

    response = requests.request(method, url, headers=headers, timeout=60)

    assert (response.status_code, response.text) == (403, "Web pages cannot use the local cloud.\n")
    assert [name for name in response.headers if name.lower().startswith("access-control-")] == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", ""])
@pytest.mark.parametrize("mode", ["no-cors", "navigate", "websocket"])
def test_what_a_web_page_only_loads_is_refused(cloud, mode, site):
    """An image, a script, or another page: browsers send no Origin then."""
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}

    response = requests.get(f"{cloud.url}/dask-data/a", headers=headers, timeout=60)

    assert (response.status_code, cloud.sample_requests) == (403, [])


def test_a_user_may_type_the_address_of_a_public_object(cloud):
    headers = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}

    assert requests.get(f"{cloud.url}/rides/a", headers=headers, timeout=60).status_code == 404


@pytest.mark.parametrize("path", ["/", "/dask-data/a"])
def test_a_preflight_request_is_refused(cloud, path):
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    assert requests.options(cloud.url + path, headers=headers, timeout=60).status_code == 403
    assert requests.options(cloud.guest_url + path, headers=headers, timeout=60).status_code == 403


def test_no_response_lets_a_web_page_read_it(cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="rides", ACL="public-read")
    rule = {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "AllowedHeaders": ["*"]}
    s3.put_bucket_cors(Bucket="rides", CORSConfiguration={"CORSRules": [rule]})

    response = requests.get(f"{cloud.url}/rides", timeout=60)

    assert response.status_code == 200
    assert [name for name in response.headers if name.lower().startswith("access-control-")] == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port},x",
        "",
        "s3.amazonaws.com",
    ],
)
def test_a_request_to_another_host_name_is_refused(cloud, host):
    """As after DNS rebinding."""
    port = cloud.url.rpartition(":")[2]
    host = host.format(port=port)
    headers = {**signed("http://127.0.0.1/"), "Host": host}

    response = requests.post(cloud.url, headers=headers, timeout=60)

    assert (response.status_code, response.text) == (403, "The local cloud has no such host name.\n")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_the_names_of_this_machine_are_the_endpoint_s(cloud, name):
    port = cloud.url.rpartition(":")[2]
    url = f"http://{name}:{port}/"
    body = b"Action=DescribeInstances"
    headers = {**signed(url, body), "Host": f"{name}:{port}"}

    assert requests.post(cloud.url, data=body, headers=headers, timeout=60).status_code == 200


def test_the_endpoint_is_no_proxy(cloud):
    with socket.create_connection(("127.0.0.1", int(cloud.url.rpartition(":")[2])), timeout=60) as connection:
        connection.sendall(f"GET {cloud.url}/dask-data HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


# Signatures


@pytest.mark.parametrize(
    "key", [STRANGER, replace(KEY_PAIR, secret_key="a guess"), Credentials("local", "local")]
)
@pytest.mark.parametrize(
    ("service", "operation", "codes"),
    [
        ("ec2", "describe_instances", {"AuthFailure"}),
        ("s3", "list_buckets", {"InvalidAccessKeyId", "SignatureDoesNotMatch"}),
        ("iam", "list_users", {"InvalidClientTokenId", "SignatureDoesNotMatch"}),
        ("sts", "get_caller_identity", {"InvalidClientTokenId", "SignatureDoesNotMatch"}),
        ("service-quotas", "list_services", {"UnrecognizedClientException", "InvalidSignatureException"}),
    ],
)
def test_another_key_is_refused_in_the_service_s_own_words(cloud, key, service, operation, codes):
    assert refusal(getattr(client(cloud, service, key), operation)) in codes


def test_ec2_s_refusal_is_ec2_s_own(cloud):
    with pytest.raises(ClientError) as caught:
        client(cloud, "ec2", STRANGER).describe_instances()

    response = caught.value.response
    assert response["Error"] == {
        "Code": "AuthFailure",
        "Message": "AWS was not able to validate the provided access credentials",
    }
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 401


@pytest.mark.parametrize("place", ["body", "address"])
@pytest.mark.parametrize("door", ["url", "guest_url"])
def test_nothing_is_launched_without_a_signature(cloud, door, place):
    url = getattr(cloud, door)

    response = requests.post(url, timeout=60, **{"data" if place == "body" else "params": RUN})

    assert response.status_code == 401
    assert "<Code>AuthFailure</Code>" in response.text
    assert cloud.ec2.describe_instances()["Reservations"] == []


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic eDp5",
        "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/ec2/aws4_request",
        "AWS testing:x",
    ],
)
def test_another_kind_of_authorization_is_refused(cloud, authorization):
    response = requests.post(cloud.url, data=RUN, headers={"Authorization": authorization}, timeout=60)

    assert response.status_code == 401


@pytest.mark.parametrize("changed", ["body", "query", "path", "method", "header", "target"])
def test_what_was_changed_after_it_was_signed_is_refused(cloud, changed):
    url, body, method = f"{cloud.url}/", b"Action=DescribeInstances", "POST"
    headers = signed(url, body)
    match changed:
        case "body":
            body = b"Action=TerminateInstances&InstanceId.1=i-0123456789abcdef0"
        case "query":
            url += "?Action=DescribeImages"
        case "path":
            url = f"{cloud.url}/_dask_bake/ec2"
        case "method":
            method = "PUT"
        case "header":
            headers["X-Amz-Nonce"] = "another"
        case "target":
            headers["X-Amz-Target"] = "Service.DescribeInstances"

    response = requests.request(method, url, data=body, headers=headers, timeout=60)

    assert (response.status_code, "<Code>AuthFailure</Code>" in response.text) == (401, True)


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(minutes=16), "RequestTimeTooSkewed"),
        (timedelta(minutes=-16), "RequestTimeTooSkewed"),
        (timedelta(minutes=14), None),
        (timedelta(minutes=-14), None),
    ],
)
def test_an_old_signature_is_refused(cloud, age, code):
    cloud.client("s3").create_bucket(Bucket="rides")
    cloud.gateway._door = Door(KEY_PAIR, cloud.sessions, now=lambda: datetime.now(UTC) + age)

    call = cloud.client("s3").list_buckets
    if code is None:
        assert [bucket["Name"] for bucket in call()["Buckets"]] == ["rides"]
    else:
        assert refusal(call) == code


def test_a_large_request_of_a_stranger_is_not_read(cloud):
    """It is refused by its headers: nobody else can fill the server's memory."""
    headers = signed(cloud.url, key=STRANGER)
    with socket.create_connection(("127.0.0.1", int(cloud.url.rpartition(":")[2])), timeout=60) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        host = cloud.url.removeprefix("http://")
        connection.sendall(
            f"POST / HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: 9000000000\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "key", ["a b", "a+b", "ü/ö", "a%20b", "a=b&c", "~x", "a//b", "year=2015/month=1/x.csv", "(1)'*!"]
)
def test_keys_of_every_kind_are_signed_as_botocore_does(cloud, key):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="rides")
    s3.put_object(Bucket="rides", Key=key, Body=b"1", Metadata={"a": "b  c"})

    assert s3.get_object(Bucket="rides", Key=key)["Body"].read() == b"1"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="rides", Prefix=key)["Contents"]] == [key]
    assert s3.get_object_tagging(Bucket="rides", Key=key)["TagSet"] == []


def test_a_large_object_is_uploaded_in_parts(cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="rides")
    content = os.urandom(1024) * 9000

    with (cloud.settings.root / "file").open("w+b") as file:
        file.write(content)
        file.seek(0)
        s3.upload_fileobj(file, "rides", "big")

    stored = s3.get_object(Bucket="rides", Key="big")["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(content).digest()


# Services


@pytest.mark.parametrize("service", ["sns", "sqs", "lambda", "events", "ssm", "kms", "moto_api", "dynamodb"])
def test_a_service_that_the_project_does_not_use_does_not_exist(cloud, service):
    """Some call addresses that their caller names."""
    body = b"Action=Subscribe&Protocol=http&Endpoint=http://127.0.0.1:1&TopicArn=x"
    for path in ("/", "/moto-api/reset"):
        headers = signed(cloud.url + path, body, service=service)
        response = requests.post(cloud.url + path, data=body, headers=headers, timeout=60)

        assert response.status_code == 400
        assert f"The service {service} is not available in the local cloud." in response.text


@pytest.mark.parametrize("service", ["ec2", "s3", "iam", "sts", "servicequotas"])
@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/recorder/start-recording", "/moto-api/"])
def test_moto_s_own_interface_cannot_be_reached_through_any_service(cloud, service, path):
    cloud.running()

    requests.post(cloud.url + path, headers=signed(cloud.url + path, service=service), timeout=60)

    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1


# The admin interface


@pytest.mark.parametrize("subject", ["faults", "quotas", "bases", "requests", "status", "caller", "ec2"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("key", [None, STRANGER])
def test_the_admin_interface_takes_the_same_signature(cloud, key, method, subject):
    url = f"{cloud.url}/_dask_bake/{subject}"
    headers = {} if key is None else signed(url, method=method, key=key, service="dask-bake")

    response = requests.request(method, url, headers=headers, timeout=60)

    assert response.status_code in (401, 403)
    assert cloud.faults() == []


def images_of(url):
    """Return the images that EC2 at that address has, for the launcher."""
    clock = FakeClock()
    there = clouds.local_cloud(url, KEY_PAIR, None)
    retries = RetryPolicy(lambda _: None, clock, clock.sleep, jitter=lambda: 1.0)
    return api.connect(there, lambda _: None, retries=retries).find_images(owners=(DEBIAN.owner,), filters={})


def test_another_server_s_ec2_is_not_believed(cloud):
    """As after the server's end; not even if it has an answer of the local cloud to another request."""
    recorded = []

    def record(environ, start_response):
        def start(status, headers):
            recorded.append((status, headers))
            return start_response(status, headers)

        body = b"".join(cloud.gateway(environ, start))
        recorded.append(body)
        return [body]

    def replay(environ, start_response):
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response(*recorded[0])
        return [recorded[1]]

    with listening_at(record) as url:
        assert [image.id for image in images_of(url)] == [DEBIAN.id]
    with listening_at(replay) as url, pytest.raises(NotAwsResponseError, match="another program answers"):
        images_of(url)


def test_another_server_s_answer_is_not_believed(cloud):
    """Not even the local cloud's own answer to another request."""
    url = f"{cloud.url}/_dask_bake/status"
    headers = signed(url, method="GET", service="dask-bake")
    recorded = requests.get(url, headers=headers, timeout=60)
    assert recorded.json() == {"name": "test", "pid": 1}

    def replaying(_environ, start_response):
        start_response(
            "200 OK", [(name, value) for name, value in recorded.headers.items() if name.startswith("X-")]
        )
        return [recorded.content]

    with listening_at(replaying) as cloud.url, pytest.raises(BakeError, match="another program answers at"):
        cloud.admin("GET", "status")


# Public data in S3


@pytest.fixture
def buckets(cloud):
    s3 = cloud.client("s3")
    for bucket, acl in (("open", "public-read"), ("closed", "private")):
        s3.create_bucket(Bucket=bucket, ACL=acl)
        s3.put_object(Bucket=bucket, Key="public", Body=b"anybody's", ACL="public-read")
        s3.put_object(Bucket=bucket, Key="private", Body=b"mine", ACL="private")
    return s3


@pytest.fixture(params=["url", "guest_url"])
def anonymous(request, cloud, buckets):
    """A client without credentials: on this machine, and on an instance."""
    config = Config(
        signature_version=UNSIGNED, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
    )
    return boto3.client("s3", "us-east-1", endpoint_url=getattr(cloud, request.param), config=config)


def test_anybody_reads_and_lists_what_is_public(anonymous):
    assert anonymous.get_object(Bucket="open", Key="public")["Body"].read() == b"anybody's"
    assert anonymous.get_object(Bucket="closed", Key="public", Range="bytes=0-2")["Body"].read() == b"any"
    assert anonymous.head_object(Bucket="open", Key="public")["ContentLength"] == 9
    listed = anonymous.list_objects_v2(Bucket="open", Prefix="p", Delimiter="/")["Contents"]
    assert [each["Key"] for each in listed] == ["private", "public"]


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("get_object", {"Bucket": "open", "Key": "private"}, "AccessDenied"),
        ("get_object", {"Bucket": "closed", "Key": "private"}, "AccessDenied"),
        ("get_object", {"Bucket": "closed", "Key": "none"}, "AccessDenied"),
        ("get_object", {"Bucket": "open", "Key": "none"}, "NoSuchKey"),
        ("get_object", {"Bucket": "none", "Key": "none"}, "NoSuchBucket"),
        ("list_objects_v2", {"Bucket": "closed"}, "AccessDenied"),
        ("list_buckets", {}, "AccessDenied"),
        ("get_bucket_acl", {"Bucket": "open"}, "AccessDenied"),
        ("get_bucket_location", {"Bucket": "open"}, "AccessDenied"),
        ("list_object_versions", {"Bucket": "open"}, "AccessDenied"),
        ("get_object_acl", {"Bucket": "open", "Key": "public"}, "AccessDenied"),
        ("put_object", {"Bucket": "open", "Key": "new", "Body": b"1"}, "AccessDenied"),
        ("put_object", {"Bucket": "open", "Key": "public", "Body": b"1"}, "AccessDenied"),
        ("delete_object", {"Bucket": "open", "Key": "public"}, "AccessDenied"),
        ("create_bucket", {"Bucket": "another"}, "AccessDenied"),
        ("delete_bucket", {"Bucket": "open"}, "AccessDenied"),
    ],
)
def test_nobody_does_anything_else_without_a_signature(anonymous, operation, parameters, code):
    assert refusal(getattr(anonymous, operation), **parameters) == code


@pytest.mark.parametrize(
    "query", ["?Signature=x", "?AWSAccessKeyId=x&Signature=x", "?X-Amz-Signature=x", "?acl"]
)
def test_a_word_in_the_address_is_no_signature(cloud, buckets, query):
    """moto takes the word for one."""
    assert requests.get(f"{cloud.url}/open/private{query}", timeout=60).status_code == 403
