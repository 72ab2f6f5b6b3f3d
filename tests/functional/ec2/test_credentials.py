"""Credentials that cannot be found or refreshed: one sentence, whatever boto3 raises, at any call."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from moto import mock_aws

from dask_bake import clouds
from dask_bake.cli.main import run
from dask_bake.errors import BakeError
from dask_bake.models.cloud import Cloud
from dask_bake.models.tags import Tag
from isolation import KEY_PAIR
from moto_launches import answering_cloud, baked, everything, launch

HOME = Path(__file__).parents[3]
KEYS = '"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":"T"'
ROLE = "role_arn = arn:aws:iam::123456789012:role/R"
PROFILES = {
    "missing": (
        "credential_process = /no/such/helper --account 1",
        "the AWS profile missing cannot be used: its credential_process /no/such/helper does not exist",
    ),
    "nonsense": (
        "credential_process = /bin/echo please log in",
        "its credential_process /bin/echo did not print JSON as boto3 expects it",
    ),
    "list": ("credential_process = /bin/echo []", "/bin/echo did not print JSON as boto3 expects it"),
    "open-quote": ('credential_process = "/bin/echo', "failed: No closing quotation"),
    "no-right": ("credential_process = /etc/hostname", "/etc/hostname cannot be started: "),
    "expired": (
        f'credential_process = /bin/echo \'{{{KEYS},"Expiration":"2020-01-01T00:00:00Z"}}\'',
        "the refreshed credentials are still expired",
    ),
    "no-date": (
        f'credential_process = /bin/echo \'{{{KEYS},"Expiration":"soon"}}\'',
        "Unknown string format: soon",
    ),
    "no-key": ("credential_process = /bin/echo '{\"Version\":1}'", "Missing required key in response"),
    "numbers": (
        'credential_process = /bin/echo \'{"Version":1,"AccessKeyId":5,"SecretAccessKey":6}\'',
        "contains something other than ASCII text",
    ),
    "null": (
        'credential_process = /bin/echo \'{"Version":1,"AccessKeyId":null,"SecretAccessKey":"S"}\'',
        "a key is missing",
    ),
    "silent": ("credential_process = /bin/false", "its credential_process /bin/false failed"),
    "space": ("aws_access_key_id = AKIA A\naws_secret_access_key = S", "ASCII text without spaces"),
    "exit": ("credential_process = /bin/sh -c 'echo no session >&2; exit 1'", "no session"),
    "chain": (
        f"{ROLE}\nsource_profile = nonsense",
        "the AWS profile chain cannot be used: its ",
    ),
    "loop": (f"{ROLE}\nsource_profile = loop", "Infinite loop in credential configuration"),
    "ring": (f"{ROLE}\nsource_profile = ring-2", "Infinite loop in credential configuration"),
    "ring-2": (f"{ROLE}\nsource_profile = ring", "Infinite loop in credential configuration"),
    "no-source": (f"{ROLE}\nsource_profile = nothing", 'source_profile "nothing" referenced'),
    "source": (f"{ROLE}\ncredential_source = Nothing", 'credential source "Nothing"'),
    "token": (
        f"{ROLE}\nweb_identity_token_file = /no/such/token",
        "/no/such/token: No such file or directory",
    ),
    "umlaut": ("aws_access_key_id = Zürich\naws_secret_access_key = S", "something other than ASCII text"),
}


@pytest.fixture(autouse=True)
def profiles(monkeypatch) -> None:
    text = "".join(
        f"[profile {name}]\nregion = us-east-1\n{lines}\n" for name, (lines, _) in PROFILES.items()
    )
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(text)
    monkeypatch.delenv("AWS_DEFAULT_REGION")


SECRET_WORDS = (
    "password=s3cr3t",
    'the token is s3cr3t, \\"secret_key\\": \\"s3cr3t\\"',
    "https://me:s3cr3t@a.example/login",
    "IQoJb3JpZ2luX2VjEs3cr3tKz0123456789abcdefghij+/=",
)


def message(capsys) -> str:
    """Return the one sentence on stderr; there is a hint below it."""
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert (printed.out, len(lines), lines[-1][:6]) == ("", 2, "Hint: ")
    return lines[0]


@pytest.mark.parametrize("profile", PROFILES)
def test_credentials_that_cannot_be_found_are_one_sentence(profile, capsys):
    with mock_aws():
        assert run(["ls", "--profile", profile]) == 2

    assert PROFILES[profile][1] in message(capsys)


@pytest.mark.parametrize(
    "command",
    [
        ["down"],
        ["reap", "--all-regions", "--dry-run"],
        ["images"],
        ["launch"],
        ["launch", "--dry-run"],
        ["status"],
    ],
    ids=" ".join,
)
def test_each_command_says_so(command, capsys):
    with mock_aws():
        assert run([*command, "--profile", "missing"]) == 2

    assert PROFILES["missing"][1] in message(capsys)


def test_a_helper_s_arguments_which_may_be_secret_are_not_repeated(capsys):
    run(["ls", "--profile", "missing"])

    assert "--account" not in message(capsys)


@pytest.mark.parametrize("words", SECRET_WORDS)
def test_a_secret_in_a_helper_s_own_message_is_not_repeated(words, tmp_path, capsys):
    helper = tmp_path / "helper"
    helper.write_text(f'#!/bin/sh\necho "no session: {words}" >&2; exit 1\n')
    helper.chmod(0o755)
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        f"[profile dev]\nregion = us-east-1\ncredential_process = {helper}\n"
    )

    assert run(["ls", "--profile", "dev"]) == 2
    found = message(capsys)
    assert f"its credential_process {helper} failed: no session: " in found
    assert "s3cr3t" not in found


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"AWS_PROFILE": ""}, "AWS_PROFILE is set, and empty"),
        (
            {"AWS_CA_BUNDLE": "/no/ca.pem"},
            "AWS_CA_BUNDLE names /no/ca.pem, which cannot be used: No such file",
        ),
        ({"REQUESTS_CA_BUNDLE": "/etc/hostname"}, "which cannot be used: it has no certificates"),
        ({"AWS_CA_BUNDLE": "/etc"}, "AWS_CA_BUNDLE names /etc, which cannot be used: Is a directory"),
        (
            {"HTTPS_PROXY": "socks5://me:s3cr3t@127.0.0.1:9"},
            "HTTPS_PROXY is not the address of an HTTP proxy: socks5",
        ),
        (
            {"https_proxy": "http://127.0.0.1:99999"},
            "https_proxy is not the address of an HTTP proxy: http://",
        ),
        ({"https_proxy": "not a proxy"}, "https_proxy is not the address of an HTTP proxy: not a proxy"),
    ],
)
def test_settings_of_the_connection_that_cannot_work_are_refused_at_once(
    variables, says, monkeypatch, capsys
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert run(["ls", "--cloud", "aws", "--region", "us-east-1"]) == 2
    found = message(capsys)
    assert says in found
    assert "s3cr3t" not in found


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint: nonsense"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9999999"}, "Port out of range"),
        ({"AWS_METADATA_SERVICE_TIMEOUT": "abc"}, "'abc'"),
        ({"AWS_STS_REGIONAL_ENDPOINTS": "maybe"}, "option maybe is invalid"),
        ({"AWS_DEFAULTS_MODE": "maybe"}, "invalid defaults mode: maybe"),
    ],
)
def test_settings_that_botocore_rejects_are_one_sentence(variables, says, monkeypatch, capsys):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert run(["ls", "--region", "us-east-1"]) == 2
    found = message(capsys)
    assert found.startswith("Error: the AWS settings cannot be used: ")
    assert says in found


def test_a_token_file_that_the_environment_names_is_one_sentence(monkeypatch, capsys):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/R")

    assert run(["ls", "--region", "us-east-1"]) == 2
    assert message(capsys) == (
        "Error: the AWS credentials cannot be used: /no/such/token: No such file or directory"
    )


def alone(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run the command without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "dask_bake", *arguments],
        env={**os.environ, "PYTHONPATH": str(HOME / "launcher")},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_mfa_code_that_nobody_can_type_is_one_sentence():
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        f"[profile base]\naws_access_key_id = A\naws_secret_access_key = S\n[profile dev]\n{ROLE}\n"
        "source_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/u\nregion = eu-west-1\n"
    )

    ended = alone(["ls", "--profile", "dev"])

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "Error: the AWS profile dev needs an MFA code, and there is no terminal to type it in\n"
        "Hint: run the command in a terminal, or set the keys that aws sts get-session-token prints\n"
    )


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"accessToken": 1, "expiresAt": 5}', "nonsense"])
def test_a_broken_cache_of_single_sign_on_is_one_sentence(content, tmp_path):
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        "[profile dev]\nregion = eu-west-1\nsso_start_url = https://lab.example/start\n"
        "sso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = dask\n"
    )
    cache = tmp_path / ".aws/sso/cache"
    cache.mkdir(parents=True)
    # botocore names the file by the hash of the address.
    (cache / f"{hashlib.sha1(b'https://lab.example/start').hexdigest()}.json").write_text(content)

    ended = alone(["ls", "--profile", "dev"])

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: the AWS profile dev ")
    assert ended.stderr.count("\n") == 2


HELPER = """#!/bin/sh
# Prints keys for some calls, then fails.
n=$(( $(cat {folder}/n 2>/dev/null || echo 0) + 1 )); echo $n > {folder}/n
if [ $n -gt $(cat {folder}/limit) ]; then {failing}; exit 0; fi
echo '{{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":"T","Expiration":"'$(
date -u -d '+5 minutes' +%FT%TZ)'"}}'
"""
FAILURES = {
    "text": "echo please log in",
    "expired": f'echo \'{{{KEYS},"Expiration":"2020-01-01T00:00:00Z"}}\'',
    "exit": "echo no session >&2; exit 1",
}


@pytest.fixture
def cloud():
    with answering_cloud() as cloud:
        yield replace(cloud, profile="dev")


@pytest.fixture
def helper(tmp_path) -> Callable[[str, int], None]:
    """Writes a credential helper that fails in this way after so many calls."""

    def write(failing: str, limit: int) -> None:
        program = tmp_path / "helper.sh"
        program.write_text(HELPER.format(folder=tmp_path, failing=FAILURES[failing]))
        program.chmod(0o755)
        (tmp_path / "n").write_text("0")
        (tmp_path / "limit").write_text(str(limit))
        Path(os.environ["AWS_CONFIG_FILE"]).write_text(
            f"[profile dev]\nregion = us-east-1\ncredential_process = {program}\n"
        )

    return write


def calls(tmp_path: Path) -> int:
    return int((tmp_path / "n").read_text())


@pytest.mark.parametrize("failing", FAILURES)
def test_credentials_that_break_while_launching_leave_nothing_unnamed(
    failing, aws, cloud: Cloud, helper, tmp_path, capsys
):
    """The helper fails before anything is made, in the midst, and when the nodes are there."""
    baked(aws)
    helper(failing, 1000)
    launch(cloud)
    whole = calls(tmp_path)
    assert run(["down", "dask", "--profile", "dev"]) == 0
    assert everything(aws) == []

    codes = []
    for limit in (1, whole - 5, whole - 2):
        helper(failing, limit)
        with pytest.raises(BakeError) as raised:
            launch(cloud)
        left = everything(aws)
        codes.append(raised.value.exit_code)
        assert raised.value.exit_code == (3 if left else 2)
        assert "the AWS profile dev cannot be used: its credential_process " in raised.value.message
        if left:
            assert f"whatever is tagged {Tag.CLUSTER}=dask" in raised.value.message
            assert "dask-bake down dask" in raised.value.hint
        helper(failing, 1000)
        assert run(["down", "dask", "--profile", "dev"]) == 0
    assert set(codes) == {2, 3}


@pytest.mark.parametrize("failing", FAILURES)
def test_credentials_that_break_while_a_cluster_is_taken_down_are_exit_code_3(
    failing, aws, cloud, helper, tmp_path, capsys
):
    baked(aws)
    helper(failing, 1000)
    launch(cloud)
    capsys.readouterr()
    helper(failing, 5)  # after the look-ups of the cluster and of the caller

    assert run(["down", "dask", "--profile", "dev"]) == 3

    assert "something may be left that costs money: instance i-" in capsys.readouterr().err
    assert everything(aws) != []


def test_the_local_cloud_does_not_ask_the_helper(helper, tmp_path):
    helper("text", 0)

    assert clouds.local_cloud("http://127.0.0.1:9", KEY_PAIR, None).profile is None
    assert calls(tmp_path) == 0
