"""botocore sessions: the source of credentials and settings, for AWS and for the local cloud."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Cloud

if TYPE_CHECKING:
    import botocore.session


VENDOR = Path("/sys/class/dmi/id/sys_vendor")


def aws_session(profile: str | None = None, *, vendor: Path = VENDOR) -> "botocore.session.Session":
    """Return a botocore session that reads instance metadata only on an EC2 instance."""
    import botocore.session

    session = botocore.session.Session(profile=profile)
    # A profile given here precedes keys in the environment; an unknown profile raises.
    with _aws_settings(session):
        session.get_scoped_config()
        if not _is_ec2_instance(vendor):
            session.get_component("credential_provider").remove("iam-role")
    return session


def local_session() -> "botocore.session.Session":
    """Return a botocore session that ignores the user's AWS settings, which may be invalid."""
    import botocore.session

    nowhere = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    return botocore.session.Session(session_vars={"profile": (None, None, None, None), **nowhere})


def has_aws_credentials() -> bool:
    """Return whether boto3 finds credentials; no request is made outside an EC2 instance."""
    session = aws_session()
    with _aws_settings(session):
        return session.get_credentials() is not None


def aws_profiles() -> tuple[str, ...]:
    """Return the names of the profiles in the user's AWS settings."""
    session = aws_session()
    with _aws_settings(session):
        return tuple(session.available_profiles)


def session_of(cloud: Cloud) -> "botocore.session.Session":
    """Return the session for the cloud, with credentials that have been loaded."""
    if cloud.endpoint_url is not None:
        return local_session()
    session = aws_session(cloud.profile)
    credentials(session)
    return session


def credentials(session: "botocore.session.Session") -> "botocore.credentials.ReadOnlyCredentials":
    """Return the session's current credentials; assume a role or use single sign-on if configured."""
    from botocore.exceptions import ClientError

    name = session.profile
    with _aws_settings(session):
        found = session.get_credentials()
        if found is None:
            raise UsageError(
                f"the AWS profile {name} has no credentials" if name else "there are no AWS credentials",
                hint="aws configure sets them; dask-bake --cloud local needs none",
            )
        try:
            frozen: botocore.credentials.ReadOnlyCredentials = found.get_frozen_credentials()
        except ClientError as error:
            raise UsageError(
                f"the AWS profile {name or 'default'} cannot be used: {error}",
                hint="see aws sts get-caller-identity",
            ) from error
    return frozen


def credentials_for_others(cloud: Cloud) -> Mapping[str, str]:
    """Return environment variables that give another program boto3's credentials.

    Packer supports neither single sign-on nor every kind of profile that boto3 supports.
    """
    environment = dict(cloud.environment)
    if cloud.endpoint_url:
        return environment
    frozen = credentials(aws_session(cloud.profile))
    own = {
        "AWS_ACCESS_KEY_ID": frozen.access_key or "",
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key or "",
        "AWS_SESSION_TOKEN": frozen.token or "",
        "AWS_PROFILE": "",
    }
    return {**environment, **own}


def configured_region(profile: str | None) -> str | None:
    """Return the region that the user's AWS settings name, if they name one."""
    session = aws_session(profile)
    with _aws_settings(session):
        region: str | None = session.get_config_variable("region")
        return region


@contextmanager
def _aws_settings(session: "botocore.session.Session") -> Iterator[None]:
    from botocore.exceptions import (
        BotoCoreError,
        ProfileNotFound,
        SSOError,
        TokenRetrievalError,
    )

    try:
        yield
    except ProfileNotFound as error:
        names = ", ".join(session.available_profiles)
        raise UsageError(
            f"the AWS settings cannot be used: {error}",
            hint=f"there is {names}" if names else "aws configure sso, or aws configure, makes one",
        ) from error
    except (SSOError, TokenRetrievalError) as error:
        name = session.profile or "default"
        raise UsageError(
            f"the AWS profile {name} is not logged in: {error}", hint=f"aws sso login --profile {name}"
        ) from error
    except BotoCoreError as error:
        raise UsageError(
            f"the AWS settings cannot be used: {error}", hint="see aws configure list"
        ) from error


def _is_ec2_instance(vendor: Path) -> bool:
    try:
        return vendor.read_text().strip() == "Amazon EC2"
    except OSError:
        return False
