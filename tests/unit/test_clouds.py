"""The choice of the cloud, its credentials, and the caller's address."""

import http.server
import threading
import urllib.request
from contextlib import contextmanager

import pytest

from dask_bake.clouds import OTHER_PARTITIONS, caller_address, local_cloud, resolve_cloud
from dask_bake.ec2.session import (
    aws_profiles,
    aws_session,
    credentials_for_others,
    has_aws_credentials,
    local_session,
)
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note, ignore
from dask_bake.local.control import LocalEndpoint
from dask_bake.models.cloud import Cloud, CloudChoice
from isolation import KEY_PAIR

URL = "http://127.0.0.1:4567"


def resolve(choice, *, credentials=False, region=None, environ=None, profiles=(), starts=True):
    events = []
    cloud = resolve_cloud(
        choice,
        region,
        environ=environ or {},
        start_local=lambda _: LocalEndpoint(URL, KEY_PAIR),
        has_credentials=lambda: credentials,
        profiles=lambda: profiles,
        notify=events.append,
        starts=starts,
    )
    return cloud, events


def test_auto_is_aws_if_there_are_credentials():
    cloud, events = resolve(CloudChoice.AUTO, credentials=True, region="eu-west-1")

    assert (cloud.name, cloud.region, cloud.endpoint_url, events) == ("aws", "eu-west-1", None, [])


def test_auto_is_the_local_cloud_without_credentials_with_a_note():
    cloud, events = resolve(CloudChoice.AUTO)

    assert cloud == local_cloud(URL, KEY_PAIR, None)
    assert events == [Note("No AWS credentials: using the local cloud on this machine.")]


def test_a_command_that_starts_nothing_does_not_mention_the_local_cloud():
    assert resolve(CloudChoice.AUTO, starts=False) == (local_cloud(URL, KEY_PAIR, None), [])


def test_auto_is_not_the_local_cloud_if_there_are_aws_profiles():
    with pytest.raises(UsageError, match="no AWS profile was chosen") as caught:
        resolve(CloudChoice.AUTO, profiles=["work", "home"])
    assert (
        caught.value.hint == "--profile NAME, or AWS_PROFILE: work, home; --cloud local uses the local cloud"
    )
    assert resolve(CloudChoice.LOCAL, profiles=["work"])[0].name == "local"


@pytest.mark.parametrize(("value", "refused"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_auto_is_not_the_local_cloud_in_ci(value, refused):
    if not refused:
        assert resolve(CloudChoice.AUTO, environ={"CI": value})[0].name == "local"
        return
    with pytest.raises(UsageError, match="this is a CI job"):
        resolve(CloudChoice.AUTO, environ={"CI": value})


def test_profiles_are_those_of_both_aws_files(monkeypatch, tmp_path):
    for variable, text in (
        ("AWS_CONFIG_FILE", "[profile work]\nregion = eu-west-1\n"),
        ("AWS_SHARED_CREDENTIALS_FILE", "[home]\naws_access_key_id = x\naws_secret_access_key = y\n"),
    ):
        (tmp_path / variable).write_text(text)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    assert sorted(aws_profiles()) == ["home", "work"]


def test_local_is_used_if_requested_even_with_credentials():
    assert resolve(CloudChoice.LOCAL, credentials=True) == (local_cloud(URL, KEY_PAIR, None), [])


def test_with_the_local_cloud_s_own_credentials_auto_is_the_local_cloud():
    cloud, events = resolve(
        CloudChoice.AUTO, credentials=True, environ={"AWS_ACCESS_KEY_ID": "LOCALCLOUD0123456789"}
    )

    assert (cloud.name, events) == ("local", [])


def test_aws_is_refused_with_the_local_cloud_s_credentials():
    with pytest.raises(UsageError, match="are the local cloud's"):
        resolve(CloudChoice.AWS, environ={"AWS_ACCESS_KEY_ID": "LOCALCLOUD0123456789"})


def test_the_environment_of_the_local_cloud_has_endpoint_credentials_and_region():
    assert dict(local_cloud(URL, KEY_PAIR, "eu-west-1").environment) == {
        "AWS_ENDPOINT_URL": URL,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_aws_without_a_region_is_refused(monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(UsageError, match="no AWS region is set"):
        resolve(CloudChoice.AWS)


@pytest.mark.parametrize("choice", [CloudChoice.AUTO, CloudChoice.AWS])
def test_a_profile_that_does_not_exist_is_refused(monkeypatch, choice):
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "nope")

    with pytest.raises(UsageError, match=r"the AWS settings cannot be used: .*nope"):
        resolve_cloud(
            choice,
            None,
            environ={},
            start_local=lambda _: LocalEndpoint(URL, KEY_PAIR),
            has_credentials=has_aws_credentials,
            profiles=aws_profiles,
            notify=[].append,
        )


def test_credentials_are_found_in_the_environment():
    assert has_aws_credentials()


def test_without_credentials_the_metadata_service_is_not_queried(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")

    assert not has_aws_credentials()


@pytest.mark.parametrize(("vendor", "asks"), [("QEMU\n", False), ("Amazon EC2\n", True)])
def test_credentials_of_the_metadata_service_are_used_only_on_an_ec2_instance(tmp_path, vendor, asks):
    path = tmp_path / "sys_vendor"
    path.write_text(vendor)

    providers = aws_session(vendor=path).get_component("credential_provider").providers

    assert ("iam-role" in [provider.METHOD for provider in providers]) is asks


@pytest.mark.parametrize(
    ("answer", "address"),
    [("192.0.2.7\n", "192.0.2.7/32"), ("2001:db8::1", "2001:db8::1/128")],
)
def test_the_caller_s_address_is_a_block_of_one_address(answer, address):
    assert ask(answer) == address


@pytest.mark.parametrize("answer", ["<html>log in</html>", "", "0.0.0.0/0"])
def test_a_response_that_is_not_an_address_is_an_error(answer):
    with pytest.raises(BakeError, match="this machine's address"):
        ask(answer)


def test_an_unreachable_address_service_is_an_error_with_its_url():
    with pytest.raises(BakeError, match=r"cannot get this machine's address from http://127\.0\.0\.1:9/"):
        caller_address(Cloud("aws", "us-east-1", "http://127.0.0.1:9/"))


@contextmanager
def address_service(answer):
    """Run a service that answers one request; the block gets its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"


def ask(answer, notify=ignore):
    with address_service(answer) as url:
        return caller_address(Cloud("aws", "us-east-1", url), notify)


@pytest.fixture
def proxy(monkeypatch):
    """Return what sets the environment's HTTP proxy, for loopback addresses too."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda url: monkeypatch.setenv("http_proxy", url)


def test_the_caller_s_address_is_not_the_proxy_s(proxy):
    """ssh connects directly, and its rule allows one address."""
    notes = []
    with address_service("192.0.2.99") as other:
        proxy(other)
        assert ask("192.0.2.7", notes.append) == "192.0.2.7/32"
        with urllib.request.urlopen(other, timeout=10) as answer:  # so that its one request comes
            assert answer.read() == b"192.0.2.99"
    assert notes == []


def test_where_only_a_proxy_leads_out_a_note_says_that_the_address_is_the_proxy_s(proxy):
    notes = []
    with address_service("192.0.2.99") as other:
        proxy(other)
        found = caller_address(Cloud("aws", "us-east-1", "http://127.0.0.1:9/"), notes.append)

    assert found == "192.0.2.99/32"
    assert ["name that one with --cidr" in note.text for note in notes] == [True]


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1"])
def test_a_region_of_another_partition_is_refused(region):
    with pytest.raises(UsageError, match=f"{region} is not of AWS's commercial partition"):
        resolve(CloudChoice.AWS, region=region)


def test_regions_of_another_partition_are_those_of_botocore():
    import botocore.session

    session = botocore.session.get_session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition_name=partition):
            assert bool(OTHER_PARTITIONS.match(region)) is (partition != "aws"), region


def test_the_local_cloud_ignores_broken_aws_settings(monkeypatch):
    """A profile that does not exist is ignored there."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    assert local_session().get_scoped_config() == {}


def test_subprocesses_get_boto3_s_resolved_credentials(monkeypatch):
    """Packer supports neither single sign-on nor every kind of profile."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    cloud = Cloud("aws", "eu-west-1", "address", environment=(("AWS_DEFAULT_REGION", "eu-west-1"),))
    assert credentials_for_others(cloud) == {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "a-token",
        "AWS_PROFILE": "",
    }


def test_subprocesses_get_the_local_cloud_s_credentials_and_endpoint():
    cloud = local_cloud(URL, KEY_PAIR, None)
    assert credentials_for_others(cloud) == dict(cloud.environment)
