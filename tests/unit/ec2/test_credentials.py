"""Checked credentials of a botocore session."""

import os
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.session import Session

from dask_bake.ec2.credentials import check_credentials, credential_errors, settings_errors
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.errors import UsageError

ROLE = "role_arn = arn:aws:iam::123456789012:role/R"


class Failing:
    """Credentials that fail to be refreshed, each time with the next of these errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def get_frozen_credentials(self):
        raise self.errors.pop(0)


def session_with(config: str, *, profile: str = "dev", seconds: float = 300.0) -> Session:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(config)
    session = Session(profile=profile)
    check_credentials(session, helper_timeout=seconds)
    return session


@pytest.mark.parametrize("profile", ["dev", "role"])
def test_a_helper_that_hangs_is_stopped(profile, tmp_path):
    """Its child, which holds the pipe, is not waited for."""
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\nsleep 20 & echo $! > $0.pid; wait\n")
    helper.chmod(0o755)
    config = f"[profile dev]\ncredential_process = {helper}\n[profile role]\n{ROLE}\nsource_profile = dev\n"
    session = session_with(config, profile=profile, seconds=0.3)

    try:
        with pytest.raises(UsageError, match=rf"{helper} did not end within 0 s"), credential_errors(session):
            session.get_credentials().get_frozen_credentials()
    finally:
        os.kill(int(Path(f"{helper}.pid").read_text()), 9)


def test_a_helper_that_takes_long_is_noted_and_still_gives_its_keys(tmp_path):
    """The helper goes on when the note has been printed."""
    helper, gate = tmp_path / "helper", tmp_path / "gate"
    os.mkfifo(gate)
    keys = '{"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": "S"}'
    helper.write_text(f"#!/bin/sh\ncat {gate}\necho '{keys}'\n")
    helper.chmod(0o755)
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        f"[profile dev]\ncredential_process = {helper} --account secret\n"
    )
    notes = []

    def notify(note):
        notes.append(note.text)
        gate.write_text("")

    session = Session(profile="dev")
    check_credentials(session, notify=notify, note_after=0.05)

    assert session.get_credentials().get_frozen_credentials().access_key == "AKIA"
    assert notes == [
        f"Waiting for {helper}, the credential helper of the AWS profile dev, for at most 5 min …"
    ]


def test_a_network_that_fails_while_credentials_are_refreshed_is_left_to_the_retries():
    session = session_with("[profile dev]\naws_access_key_id = A\naws_secret_access_key = S\n")
    credentials = session.get_credentials()
    credentials._credentials = Failing(EndpointConnectionError(endpoint_url="https://sts.example"))

    with pytest.raises(EndpointConnectionError):
        credentials.get_frozen_credentials()


def test_a_helper_that_has_hung_is_not_run_again():
    """The clean-up of a launch makes several calls."""
    session = session_with("[profile dev]\naws_access_key_id = A\naws_secret_access_key = S\n")
    credentials = session.get_credentials()
    credentials._credentials = Failing(subprocess.TimeoutExpired("helper", 300))

    for _ in range(2):
        with pytest.raises(UsageError, match="the AWS profile dev cannot be used"):
            credentials.get_frozen_credentials()


@pytest.mark.parametrize("error", [KeyError("expiresAt"), TypeError("x"), EOFError(), MemoryError()])
@pytest.mark.parametrize("errors", [credential_errors, settings_errors])
def test_any_exception_is_translated(errors, error):
    says = rf"cannot be used: boto3 fails with {type(error).__name__}"
    with pytest.raises(UsageError, match=says), errors(Session()):
        raise error


def test_credentials_that_fail_after_a_lost_answer_leave_the_outcome_unknown():
    """The first attempt may have reached EC2."""
    errors = [EndpointConnectionError(endpoint_url="https://ec2.example"), UsageError("no keys", hint="x")]

    def call():
        raise errors.pop(0)

    policy = RetryPolicy(notify=lambda _: None, sleep=lambda _: None)
    with pytest.raises(UsageError) as raised:
        policy.make("RunInstances", call)

    assert raised.value.may_have_happened
