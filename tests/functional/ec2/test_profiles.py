"""AWS profiles: keys, roles and single sign-on, and the errors for those that cannot be used."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from moto import mock_aws

from dask_bake import clouds
from dask_bake.cli.main import run
from dask_bake.ec2 import api, session
from dask_bake.ec2.client import Clients
from dask_bake.errors import UsageError
from dask_bake.models.cloud import CloudChoice
from http_servers import serving

HOME = Path(__file__).parents[3]
PORTAL = "https://lab.example/start"
CONFIG = f"""
[profile keys]
region = eu-west-1
aws_access_key_id = AKIAKEYS
aws_secret_access_key = secret

[profile role]
region = eu-west-2
role_arn = arn:aws:iam::123456789012:role/dask
source_profile = keys

[profile empty]
region = eu-west-1

[profile portal]
region = eu-west-1
sso_start_url = {PORTAL}
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = dask

[profile session]
region = eu-west-1
sso_session = lab
sso_account_id = 123456789012
sso_role_name = dask

[sso-session lab]
sso_region = eu-west-1
sso_start_url = {PORTAL}
"""
ALL = "there is keys, role, empty, portal, session"


@pytest.fixture(autouse=True)
def profiles(monkeypatch):
    """A user's AWS settings, with keys in the environment as well."""
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(CONFIG)
    monkeypatch.delenv("AWS_DEFAULT_REGION")


def open_profile(profile, choice=CloudChoice.AUTO, region=None):
    return clouds.open_cloud(choice, region, profile=profile, notify=[].append)


def test_a_profile_selects_aws_with_its_region_and_keys():
    cloud = open_profile("keys")

    assert (cloud.name, cloud.region, cloud.profile) == ("aws", "eu-west-1", "keys")
    assert dict(cloud.environment) == {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_PROFILE": "keys"}
    assert session.credentials(session.session_of(cloud)).access_key == "AKIAKEYS"
    assert open_profile("keys", region="us-east-2").region == "us-east-2"


def test_subprocesses_get_the_profile_s_keys_and_no_profile():
    given = session.credentials_for_others(open_profile("keys"))

    assert (given["AWS_ACCESS_KEY_ID"], given["AWS_PROFILE"]) == ("AKIAKEYS", "")


def test_requests_are_signed_with_the_profile_s_keys():
    used = []
    with mock_aws():
        client = Clients(open_profile("keys"), [].append).ec2()
        client.meta.events.register_first(
            "before-send.ec2", lambda request, **_: used.append(str(request.headers["Authorization"]))
        )
        client.describe_instances()

    assert len(used) == 1
    assert "Credential=AKIAKEYS/" in used[0]
    assert "/eu-west-1/ec2/" in used[0]


def test_a_role_is_assumed():
    with mock_aws():
        assumed = session.credentials(session.session_of(open_profile("role")))

    assert assumed.access_key.startswith("ASIA")
    assert assumed.token


def test_a_role_that_may_not_be_assumed_is_an_error_of_one_sentence(monkeypatch):
    error = "<Code>AccessDenied</Code><Message>keys may not perform: sts:AssumeRole</Message>"
    refusal = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"

    with serving(lambda _: (403, refusal)) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        with pytest.raises(UsageError, match=r"the AWS profile role cannot be used: .*sts:AssumeRole"):
            api.connect(open_profile("role"), [].append)


def test_a_profile_is_refused_with_the_local_cloud_s_keys_in_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "LOCALCLOUD0123456789")

    with pytest.raises(UsageError, match="are the local cloud's"):
        open_profile("keys")


@pytest.mark.parametrize("flags", [["--profile", "nope"], ["--profile", "nope", "--region", "eu-west-1"]])
@pytest.mark.parametrize("command", ["ls", "status", "launch", "images", "down"])
def test_an_unknown_profile_is_an_error_of_one_sentence(command, flags, capsys):
    assert run([command, *flags]) == 2

    assert capsys.readouterr().err == (
        f"Error: the AWS settings cannot be used: The config profile (nope) could not be found\nHint: {ALL}\n"
    )


def test_a_profile_can_be_configured(monkeypatch, capsys):
    monkeypatch.setenv("DASK_BAKE__PROFILE", "nope")

    assert run(["ls"]) == 2
    assert "The config profile (nope) could not be found" in capsys.readouterr().err


def test_a_profile_without_credentials_is_an_error_of_one_sentence(capsys):
    assert run(["ls", "--profile", "empty"]) == 2

    assert "the AWS profile empty has no credentials" in capsys.readouterr().err


@pytest.mark.parametrize("begun", [False, True], ids=["never begun", "expired"])
@pytest.mark.parametrize(("profile", "key"), [("portal", PORTAL), ("session", "lab")])
def test_an_expired_single_sign_on_is_an_error_with_the_login_command(tmp_path, profile, key, begun):
    """In a new process, because botocore reads the home folder at import."""
    if begun:
        cached = tmp_path / ".aws/sso/cache" / f"{hashlib.sha1(key.encode()).hexdigest()}.json"
        cached.parent.mkdir(parents=True)
        token = {"startUrl": PORTAL, "region": "eu-west-1", "accessToken": "x"}
        cached.write_text(json.dumps({**token, "expiresAt": "2020-01-01T00:00:00Z"}))

    ended = subprocess.run(
        [sys.executable, "-m", "dask_bake", "ls", "--profile", profile],
        env={**os.environ, "PYTHONPATH": str(HOME / "launcher")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"Error: the AWS profile {profile} is not logged in: ")
    assert ended.stderr.endswith(f"\nHint: aws sso login --profile {profile}\n")
    assert ended.stderr.count("\n") == 2
