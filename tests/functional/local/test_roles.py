"""Roles of instances: credentials by the metadata service, and what they permit in S3."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.test import Client

from dask_bake import clouds
from dask_bake.ec2 import api
from dask_bake.errors import BakeError, UsageError
from dask_bake.local.credentials import Credentials
from dask_bake.local.gateway.door import Door
from dask_bake.local.iam.roles import profile_metadata
from dask_bake.local.moto.metadata import find_metadata
from dask_bake.local.network.imds import MetadataService
from fake_local_cloud import refusal
from isolation import KEY_PAIR

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def allowing(*actions, resource="*", **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


READ = [
    allowing("s3:ListBucket", resource="arn:aws:s3:::mine"),
    allowing("s3:GetObject", resource="arn:aws:s3:::mine/*"),
]


def make_role(cloud, *statements, name="reader", attached=()):
    """Make an instance profile whose role has these statements inline, and the others in a managed policy."""
    iam = cloud.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document)
    if attached:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(attached)})
        made = iam.create_policy(PolicyName=f"{name}s", PolicyDocument=document)["Policy"]
        iam.attach_role_policy(RoleName=name, PolicyArn=made["Arn"])


def launched(cloud, name="reader"):
    return cloud.running(IamInstanceProfile={"Name": name}, MetadataOptions={"HttpTokens": "optional"})


def metadata(cloud, instance, path):
    """Return the metadata service's response to the instance."""
    find = partial(find_metadata, cloud.moto.instances, partial(profile_metadata, cloud.sessions))
    asker = {"REMOTE_ADDR": instance["PrivateIpAddress"]}
    return Client(MetadataService(find)).get(f"/latest/meta-data/{path}", environ_base=asker)


def credentials_of(cloud, instance, role="reader"):
    return json.loads(metadata(cloud, instance, f"iam/security-credentials/{role}").text)


def s3_with(document, url):
    return boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=url,
        aws_access_key_id=document["AccessKeyId"],
        aws_secret_access_key=document["SecretAccessKey"],
        aws_session_token=document["Token"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture
def bucket(cloud):
    """The account's S3, with a private bucket of two objects."""
    s3 = cloud.client("s3")
    for name in ("mine", "other"):
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="year/a", Body=b"1")
        s3.put_object(Bucket=name, Key="b", Body=b"2")
    return s3


def test_the_metadata_has_the_profile_and_its_role_s_credentials(cloud):
    make_role(cloud)
    instance = launched(cloud)
    arn = instance["IamInstanceProfile"]["Arn"]
    info = json.loads(metadata(cloud, instance, "iam/info").text)
    document = credentials_of(cloud, instance)

    assert metadata(cloud, instance, "iam/").text == "info\nsecurity-credentials/"
    assert metadata(cloud, instance, "iam/security-credentials/").text == "reader"
    assert (info["Code"], info["InstanceProfileArn"]) == ("Success", arn)
    assert info["InstanceProfileId"] == instance["IamInstanceProfile"]["Id"]
    assert set(document) == {
        *("Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration")
    }
    assert (document["Code"], document["Type"]) == ("Success", "AWS-HMAC")
    lives = datetime.fromisoformat(document["Expiration"]) - datetime.fromisoformat(document["LastUpdated"])
    assert lives == timedelta(hours=6)
    assert credentials_of(cloud, instance) == document


def test_without_a_profile_or_its_role_there_are_no_credentials(cloud):
    plain = cloud.running(MetadataOptions={"HttpTokens": "optional"})
    cloud.client("iam").create_instance_profile(InstanceProfileName="empty")
    empty = launched(cloud, "empty")

    assert metadata(cloud, plain, "iam/").status_code == 404
    assert metadata(cloud, empty, "iam/info").status_code == 200
    assert metadata(cloud, empty, "iam/security-credentials/").status_code == 404


def test_a_launch_with_a_profile_that_does_not_exist_is_refused(cloud):
    with pytest.raises(ClientError) as caught:
        cloud.run(IamInstanceProfile={"Name": "nobodys"})

    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterValue",
        "Message": "Value (nobodys) for parameter iamInstanceProfile.name is invalid."
        " Invalid IAM Instance Profile name",
    }


@pytest.fixture(params=["url", "guest_url"])
def door(request, cloud):
    """The endpoint of this machine, and that of the instances."""
    return getattr(cloud, request.param)


@pytest.mark.parametrize("is_attached", [False, True], ids=["inline", "attached"])
def test_a_role_reads_what_its_policies_allow_and_nothing_else(cloud, bucket, door, is_attached):
    make_role(cloud, *(() if is_attached else READ), attached=READ if is_attached else ())
    s3 = s3_with(credentials_of(cloud, launched(cloud)), door)

    assert s3.get_object(Bucket="mine", Key="year/a")["Body"].read() == b"1"
    assert s3.head_object(Bucket="mine", Key="b")["ContentLength"] == 1
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="mine")["Contents"]] == ["b", "year/a"]
    assert refusal(s3.put_object, Bucket="mine", Key="b", Body=b"3") == "AccessDenied"
    assert refusal(s3.delete_object, Bucket="mine", Key="b") == "AccessDenied"
    assert refusal(s3.get_bucket_acl, Bucket="mine") == "AccessDenied"
    assert refusal(s3.get_object, Bucket="other", Key="b") == "AccessDenied"
    assert refusal(s3.list_objects_v2, Bucket="other") == "AccessDenied"
    assert refusal(s3.list_buckets) == "AccessDenied"
    assert bucket.get_object(Bucket="mine", Key="b")["Body"].read() == b"2"


def test_s3_s_message_names_the_role_s_session_and_what_it_may_not_do(cloud, bucket):
    make_role(cloud)
    instance = launched(cloud)
    with pytest.raises(ClientError) as caught:
        s3_with(credentials_of(cloud, instance), cloud.guest_url).get_object(Bucket="mine", Key="b")

    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert response["Error"]["Message"] == (
        f"User: arn:aws:sts::123456789012:assumed-role/reader/{instance['InstanceId']} is not authorized to"
        ' perform: s3:GetObject on resource: "arn:aws:s3:::mine/b" because no identity-based policy allows'
        " the s3:GetObject action"
    )


def test_a_policy_that_changes_applies_to_credentials_that_exist(cloud, bucket):
    make_role(cloud)
    s3 = s3_with(credentials_of(cloud, launched(cloud)), cloud.guest_url)
    assert refusal(s3.get_object, Bucket="mine", Key="b") == "AccessDenied"
    document = json.dumps({"Version": "2012-10-17", "Statement": READ})
    cloud.client("iam").put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=document)

    assert s3.get_object(Bucket="mine", Key="b")["Body"].read() == b"2"


def test_a_role_that_may_writes_also_in_parts(cloud, bucket):
    make_role(
        cloud, *READ, allowing("s3:PutObject", "s3:AbortMultipartUpload", resource="arn:aws:s3:::mine/*")
    )
    s3 = s3_with(credentials_of(cloud, launched(cloud)), cloud.guest_url)
    s3.put_object(Bucket="mine", Key="c", Body=b"3")
    upload = s3.create_multipart_upload(Bucket="mine", Key="d")["UploadId"]
    part = s3.upload_part(Bucket="mine", Key="d", UploadId=upload, PartNumber=1, Body=b"4")
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket="mine", Key="d", UploadId=upload, MultipartUpload=parts)

    assert [s3.get_object(Bucket="mine", Key=key)["Body"].read() for key in "cd"] == [b"3", b"4"]
    assert refusal(s3.put_object, Bucket="other", Key="c", Body=b"3") == "AccessDenied"
    assert refusal(s3.copy_object, Bucket="mine", Key="e", CopySource="other/b") == "AccessDenied"


def test_a_role_reads_what_is_public(cloud, bucket):
    bucket.put_object(Bucket="other", Key="open", Body=b"anybody's", ACL="public-read")
    make_role(cloud)
    s3 = s3_with(credentials_of(cloud, launched(cloud)), cloud.guest_url)

    assert s3.get_object(Bucket="other", Key="open")["Body"].read() == b"anybody's"


def at(cloud, moment):
    cloud.gateway._door = Door(KEY_PAIR, cloud.sessions, now=lambda: moment)


def test_expired_credentials_are_refused_as_s3_does(cloud, bucket, door):
    cloud.admin("POST", "sessions", {"lifetime": 20})
    make_role(cloud, *READ)
    document = credentials_of(cloud, launched(cloud))
    s3, ends = s3_with(document, door), datetime.fromisoformat(document["Expiration"])

    at(cloud, ends - timedelta(seconds=1))
    assert s3.get_object(Bucket="mine", Key="b")["Body"].read() == b"2"
    at(cloud, ends)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="mine", Key="b")
    response = caught.value.response
    assert response["Error"] == {"Code": "ExpiredToken", "Message": "The provided token has expired."}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_the_metadata_has_new_credentials_when_half_of_the_lifetime_is_over(cloud):
    cloud.admin("POST", "sessions", {"lifetime": 20})
    make_role(cloud)
    instance, began = launched(cloud), datetime.now(UTC)
    keys = []
    for seconds in (0, 8, 11):
        cloud.sessions._now = lambda seconds=seconds: began + timedelta(seconds=seconds)
        keys.append(credentials_of(cloud, instance)["AccessKeyId"])

    assert keys[0] == keys[1] != keys[2]
    assert keys[2].startswith("LOCALCLOUD")


@pytest.mark.parametrize("lifetime", [0, -1, 43_201, "20", True, 1.5])
def test_a_lifetime_that_is_none_is_refused(cloud, lifetime):
    with pytest.raises(UsageError, match="is no lifetime of credentials"):
        cloud.admin("POST", "sessions", {"lifetime": lifetime})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"AccessKeyId": "LOCALCLOUDSTRANGER00"}, "InvalidAccessKeyId"),
        ({"SecretAccessKey": "a guess"}, "SignatureDoesNotMatch"),
        ({"Token": "a guess"}, "InvalidToken"),
        ({"Token": ""}, "InvalidToken"),
    ],
)
def test_other_credentials_are_refused_as_s3_does(cloud, bucket, door, changes, code):
    make_role(cloud, *READ)
    document = {**credentials_of(cloud, launched(cloud)), **changes}

    assert refusal(s3_with(document, door).get_object, Bucket="mine", Key="b") == code


@pytest.mark.parametrize("service", ["ec2", "iam", "sts"])
def test_a_role_reaches_s3_alone(cloud, service):
    make_role(cloud, allowing("*"))
    document = credentials_of(cloud, launched(cloud))
    operation = {"ec2": "describe_instances", "iam": "list_roles", "sts": "get_caller_identity"}[service]
    client = boto3.client(
        service,
        "us-east-1",
        endpoint_url=cloud.url,
        aws_access_key_id=document["AccessKeyId"],
        aws_secret_access_key=document["SecretAccessKey"],
        aws_session_token=document["Token"],
        config=Config(retries={"total_max_attempts": 1}),
    )

    assert refusal(getattr(client, operation)) in ("AuthFailure", "MissingAuthenticationToken")


def test_a_role_cannot_use_the_admin_interface(cloud):
    from dask_bake.local.admin_client import ask
    from dask_bake.local.settings import Settings

    make_role(cloud, allowing("*"))
    document = credentials_of(cloud, launched(cloud))
    key = Credentials(document["AccessKeyId"], document["SecretAccessKey"])
    here = Settings("test", cloud.settings.root, int(cloud.url.rpartition(":")[2]))
    with pytest.raises(BakeError):
        ask("POST", "sessions", {"lifetime": None}, settings=here, credentials=key)
    assert cloud.sessions.lifetime is None


def test_a_session_s_request_has_a_size(cloud, bucket):
    """Anybody in a task could fill the server's memory."""
    make_role(cloud, allowing("s3:*"))
    s3 = s3_with(credentials_of(cloud, launched(cloud)), cloud.guest_url)
    url = f"{cloud.guest_url}/mine/big"

    def tell(request, **_):
        headers = dict(request.headers.items())
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in headers.items()
        }
        del headers["Content-Length"]
        sent.append(requests.put(url, data=iter([b"1"]), headers=headers, timeout=60))

    sent = []
    s3.meta.events.register("before-send.s3.PutObject", tell)
    s3.put_object(Bucket="mine", Key="big", Body=b"1")

    assert (sent[0].status_code, "MissingContentLength" in sent[0].text) == (411, True)


def test_the_account_s_own_session_may_do_everything_in_s3(cloud, bucket, door):
    given = cloud.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    document = {**given, "Token": given["SessionToken"]}

    s3_with(document, door).put_object(Bucket="mine", Key="c", Body=b"3")
    assert bucket.get_object(Bucket="mine", Key="c")["Body"].read() == b"3"
    assert 800 < (given["Expiration"] - datetime.now(UTC)).total_seconds() <= 900


def test_a_session_is_at_most_an_hour_for_the_account_and_never_too_short(cloud):
    sts = cloud.client("sts")
    given = sts.get_session_token(DurationSeconds=36_000)["Credentials"]

    assert (given["Expiration"] - datetime.now(UTC)).total_seconds() <= 3600
    assert refusal(cloud.client("sts").get_session_token, DurationSeconds=100_000_000) == "ValidationError"


def test_secrets_are_in_no_representation(cloud):
    make_role(cloud)
    instance = launched(cloud)
    found = cloud.facts(instance)
    secrets = {found.profile.credentials["SecretAccessKey"], found.profile.credentials["Token"]}
    session = cloud.sessions.find(found.profile.credentials["AccessKeyId"])

    assert not any(secret in f"{found!r} {session!r} {replace(found)!r}" for secret in secrets)


def test_the_launcher_gets_credentials_that_expire(cloud):
    cloud.admin("POST", "sessions", {"lifetime": 60})
    there = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    given = api.connect(there, lambda _: None).temporary_credentials()

    s3_with(given.document, cloud.guest_url).create_bucket(Bucket="mine")
    assert [each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]] == ["mine"]
    assert 0 < (given.expires - datetime.now(UTC)).total_seconds() <= 60
