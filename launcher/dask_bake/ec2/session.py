"""botocore sessions: the source of credentials and settings, for AWS and for the local cloud."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_bake.errors import UsageError
from dask_bake.events import Notify, ignore
from dask_bake.models.cloud import Cloud

if TYPE_CHECKING:
    import botocore.session


VENDOR = Path("/sys/class/dmi/id/sys_vendor")


def aws_session(
    profile: str | None = None, *, notify: Notify = ignore, vendor: Path = VENDOR
) -> "botocore.session.Session":
    """Return a botocore session that reads instance metadata only on an EC2 instance."""
    import botocore.session

    from dask_bake.ec2.credentials import check_credentials, settings_errors

    session = botocore.session.Session(profile=profile)
    # A profile given here precedes keys in the environment; an unknown profile raises.
    with settings_errors(session):
        session.get_scoped_config()
        if not _is_ec2_instance(vendor):
            session.get_component("credential_provider").remove("iam-role")
        check_credentials(session, notify=notify)
    return session


def local_session() -> "botocore.session.Session":
    """Return a botocore session that ignores the user's AWS settings, which may be invalid."""
    import botocore.session

    nowhere = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    return botocore.session.Session(session_vars={"profile": (None, None, None, None), **nowhere})


def has_aws_credentials(notify: Notify = ignore) -> bool:
    """Return whether boto3 finds credentials; no request is made outside an EC2 instance."""
    return aws_session(notify=notify).get_credentials() is not None


def aws_profiles() -> tuple[str, ...]:
    """Return the names of the profiles in the user's AWS settings."""
    from dask_bake.ec2.credentials import settings_errors

    session = aws_session()
    with settings_errors(session):
        return tuple(session.available_profiles)


def known_instance_types() -> tuple[str, ...]:
    """Return the names of the instance types that botocore knows, without a request."""
    shape: Any = local_session().get_service_model("ec2").shape_for("InstanceType")
    return tuple(shape.enum)


def session_of(cloud: Cloud, notify: Notify = ignore) -> "botocore.session.Session":
    """Return the session for the cloud, with credentials that have been loaded."""
    if cloud.endpoint_url is not None:
        return local_session()
    session = aws_session(cloud.profile, notify=notify)
    credentials(session)
    return session


def credentials(session: "botocore.session.Session") -> "botocore.credentials.ReadOnlyCredentials":
    """Return the session's current credentials; assume a role or use single sign-on if configured."""
    from dask_bake.ec2.credentials import credential_errors

    name = session.profile
    found = session.get_credentials()
    if found is None:
        raise UsageError(
            f"the AWS profile {name} has no credentials" if name else "there are no AWS credentials",
            hint="aws configure sets them; dask-bake --cloud local needs none",
        )
    with credential_errors(session):
        frozen: botocore.credentials.ReadOnlyCredentials = found.get_frozen_credentials()
    return frozen


@dataclass(frozen=True)
class OwnCredentials:
    """The caller's credentials.

    ``token`` is empty if they do not expire, ``expires`` is None if that is unknown.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: datetime | None = None


def own_credentials(session: "botocore.session.Session") -> OwnCredentials:
    """Return the session's current credentials, and when they expire."""
    frozen = credentials(session)
    found = session.get_credentials()
    # botocore has no other way to tell when they expire.
    expires = getattr(getattr(found, "_credentials", found), "_expiry_time", None)
    return OwnCredentials(frozen.access_key or "", frozen.secret_key or "", frozen.token or "", expires)


def credentials_for_others(cloud: Cloud, notify: Notify = ignore) -> Mapping[str, str]:
    """Return environment variables that give another program boto3's credentials.

    Packer supports neither single sign-on nor every kind of profile that boto3 supports.
    """
    environment = dict(cloud.environment)
    if cloud.endpoint_url:
        return environment
    frozen = credentials(aws_session(cloud.profile, notify=notify))
    own = {
        "AWS_ACCESS_KEY_ID": frozen.access_key or "",
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key or "",
        "AWS_SESSION_TOKEN": frozen.token or "",
        "AWS_PROFILE": "",
    }
    return {**environment, **own}


def configured_region(profile: str | None) -> str | None:
    """Return the region that the user's AWS settings name, if they name one."""
    from dask_bake.ec2.credentials import settings_errors

    session = aws_session(profile)
    with settings_errors(session):
        region: str | None = session.get_config_variable("region")
        return region


def _is_ec2_instance(vendor: Path) -> bool:
    try:
        return vendor.read_text().strip() == "Amazon EC2"
    except OSError:
        return False
