"""Which cloud, and how it is reached: the only place that knows that there are two."""

import ipaddress
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note, Notify
from dask_bake.models.cloud import Architecture, Cloud, CloudChoice
from dask_bake.models.debian import DebianRelease

if TYPE_CHECKING:
    import botocore.credentials
    import botocore.session

LOCAL_KEY = "local"
DEFAULT_LOCAL_REGION = "us-east-1"
AWS_ADDRESS_URL = "https://checkip.amazonaws.com"
VENDOR = Path("/sys/class/dmi/id/sys_vendor")


class Endpoint(Protocol):
    """A running local cloud."""

    @property
    def url(self) -> str:
        """Where it answers."""


class LocalCloudDownError(UsageError):
    """The local cloud is asked about its clusters, and is not running: it has none."""

    def __init__(self) -> None:
        super().__init__(
            "there is no cluster: the local cloud is not running",
            hint="dask-bake launch starts it and a cluster; --cloud aws looks in AWS",
        )


def resolve_cloud(
    choice: CloudChoice,
    region: str | None,
    *,
    profile: str | None = None,
    environ: Mapping[str, str],
    start_local: Callable[[Notify], Endpoint],
    has_credentials: Callable[[], bool],
    notify: Notify,
) -> Cloud:
    """The cloud of that choice, reachable; ``auto`` is AWS if there are credentials or a profile for it."""
    holds_local_key = environ.get("AWS_ACCESS_KEY_ID") == LOCAL_KEY
    if choice is CloudChoice.AUTO and profile is not None:
        choice = CloudChoice.AWS
    if choice is CloudChoice.AUTO:
        choice = CloudChoice.LOCAL
        if not holds_local_key:
            if has_credentials():
                return aws_cloud(region, environ)
            notify(Note("No AWS credentials: using the local cloud on this machine."))
    if choice is CloudChoice.LOCAL:
        return local_cloud(start_local(notify).url, region)
    if holds_local_key:
        raise UsageError(
            "the AWS credentials in the environment are the local cloud's",
            hint="unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL",
        )
    return aws_cloud(region, environ, profile)


def aws_cloud(region: str | None, environ: Mapping[str, str], profile: str | None = None) -> Cloud:
    """Amazon's EC2, in the region asked for or the one that the user's AWS settings name."""
    chosen = region or environ.get("AWS_REGION") or _configured_region(profile)
    if not chosen:
        raise UsageError("no AWS region is set", hint="add --region us-east-1, or set AWS_REGION")
    own = (("AWS_PROFILE", profile),) if profile else ()
    return Cloud(
        name="aws",
        region=chosen,
        address_url=AWS_ADDRESS_URL,
        environment=(("AWS_DEFAULT_REGION", chosen), *own),
        profile=profile,
    )


def local_cloud(url: str, region: str | None) -> Cloud:
    """The EC2 on this machine that answers at that address."""
    chosen = region or DEFAULT_LOCAL_REGION
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": LOCAL_KEY,
        "AWS_SECRET_ACCESS_KEY": LOCAL_KEY,
        "AWS_DEFAULT_REGION": chosen,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Cloud(
        name="local",
        region=chosen,
        address_url=f"{url}/_dask_bake/caller",
        endpoint_url=url,
        environment=tuple(environment.items()),
        architectures=tuple(each for each in Architecture if each.machine == platform.machine()),
        is_free=True,
    )


def aws_session(profile: str | None = None, *, vendor: Path = VENDOR) -> "botocore.session.Session":
    """A botocore session that asks the metadata address for credentials only on an EC2 instance."""
    import botocore.session

    session = botocore.session.Session(profile=profile)
    # A profile that is asked for here goes before keys in the environment; one that is unknown is told.
    with _aws_settings(session):
        session.get_scoped_config()
        if not _is_ec2_instance(vendor):
            session.get_component("credential_provider").remove("iam-role")
    return session


def local_session() -> "botocore.session.Session":
    """A botocore session that knows nothing of the user's AWS settings, which may be broken."""
    import botocore.session

    nowhere = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    return botocore.session.Session(session_vars={"profile": (None, None, None, None), **nowhere})


def has_aws_credentials() -> bool:
    """True when boto3 would find credentials; nothing is contacted outside an EC2 instance."""
    session = aws_session()
    with _aws_settings(session):
        return session.get_credentials() is not None


def session_of(cloud: Cloud) -> "botocore.session.Session":
    """The session with which that cloud is asked: one whose credentials are there and can be used."""
    if cloud.endpoint_url is not None:
        return local_session()
    session = aws_session(cloud.profile)
    credentials(session)
    return session


def credentials(session: "botocore.session.Session") -> "botocore.credentials.ReadOnlyCredentials":
    """The session's credentials as they are now: a role is assumed, a single sign-on used, here."""
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
    """What another program's environment needs to be whom boto3 is here, however it came by that.

    Packer knows neither single sign-on nor every profile that boto3 knows.
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


def caller_address(cloud: Cloud) -> str:
    """The address that the cloud sees this machine under, as a network of one."""
    import urllib.error
    import urllib.request

    proxies = None if cloud.endpoint_url is None else urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(*([proxies] if proxies else []))
    try:
        with opener.open(cloud.address_url, timeout=10) as answer:
            text = answer.read(200).decode("ascii", "replace").strip()
        return str(ipaddress.ip_network(ipaddress.ip_address(text)))
    except (OSError, ValueError) as error:
        raise BakeError(
            f"this machine's address is not to be had from {cloud.address_url}: {error}",
            hint="SSH is opened to that address alone; check the connection and try again",
        ) from error


def start_local(notify: Notify, base: DebianRelease | None = None) -> Endpoint:
    """Return the local cloud, started if it was not running, with the base image of that release."""
    from dask_bake.local import control

    return control.ensure_up(notify, base)


def running_local(_: Notify) -> Endpoint:
    """The local cloud if it runs: to look for clusters it need not be started."""
    from dask_bake.local import control

    status = control.status()
    if status is None:
        raise LocalCloudDownError
    return status


def open_cloud(
    choice: CloudChoice,
    region: str | None,
    *,
    profile: str | None = None,
    notify: Notify,
    start: bool = True,
    base: DebianRelease | None = None,
) -> Cloud:
    """Return the cloud of that choice, from the process's own environment.

    Args:
        base: the release whose base image will be needed: the local cloud makes it if it is not there.
    """
    return resolve_cloud(
        choice,
        region,
        profile=profile,
        environ=os.environ,
        start_local=partial(start_local, base=base) if start else running_local,
        has_credentials=has_aws_credentials,
        notify=notify,
    )


def _configured_region(profile: str | None) -> str | None:
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
