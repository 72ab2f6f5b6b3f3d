"""Choose a cloud and find its endpoint: the only module that knows that there are two."""

import ipaddress
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dask_bake.ec2.session import aws_profiles, configured_region, has_aws_credentials
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note, Notify, ignore
from dask_bake.local.credentials import ACCESS_KEY_PREFIX, Credentials
from dask_bake.local.settings import Settings
from dask_bake.models.cloud import Architecture, Cloud, CloudChoice
from dask_bake.models.debian import DebianRelease

if TYPE_CHECKING:
    from dask_bake.local.control import LocalEndpoint

MOST_PROFILES = 8
"""Profiles that a hint names."""
DEFAULT_LOCAL_REGION = "us-east-1"
OTHER_PARTITIONS = re.compile(r"cn-|us-gov-|us-iso|eu-iso|eusc-")
"""Beginnings of the names of regions where accounts, ARNs and addresses differ (botocore's partitions)."""
ADDRESS_TIMEOUT, ADDRESS_TIMEOUT_PAST_PROXY = 10.0, 3.0
"""Seconds that the service which returns the caller's address may take."""
AWS_ADDRESS_URL = "https://checkip.amazonaws.com"


class LocalCloudDownError(UsageError):
    """A look-up of clusters in the local cloud while it is not running."""

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
    start_local: Callable[[Notify], "LocalEndpoint"],
    has_credentials: Callable[[], bool],
    profiles: Callable[[], Sequence[str]],
    notify: Notify,
    starts: bool = True,
) -> Cloud:
    """Return the cloud of that choice.

    ``auto`` is AWS if there are credentials or a profile was given. Without them it is the local cloud, but
    not where AWS is probably meant: if there are AWS profiles, or in a CI job.

    Args:
        profiles: returns the names of the user's AWS profiles.
        starts: whether the command starts something, and so prints which cloud it uses.

    Raises:
        UsageError: if no cloud can be chosen.
    """
    holds_local_key = environ.get("AWS_ACCESS_KEY_ID", "").startswith(ACCESS_KEY_PREFIX)
    if choice is CloudChoice.AUTO and profile is not None:
        choice = CloudChoice.AWS
    if choice is CloudChoice.AUTO:
        choice = CloudChoice.LOCAL
        if not holds_local_key:
            if has_credentials():
                return aws_cloud(region, environ)
            check_local_is_meant(profiles(), environ)
            if starts:
                notify(Note("No AWS credentials: using the local cloud on this machine."))
    if choice is CloudChoice.LOCAL:
        endpoint = start_local(notify)
        return local_cloud(endpoint.url, endpoint.credentials, region)
    if holds_local_key:
        raise UsageError(
            "the AWS credentials in the environment are the local cloud's",
            hint="unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL",
        )
    return aws_cloud(region, environ, profile)


def check_local_is_meant(profiles: Sequence[str], environ: Mapping[str, str]) -> None:
    """Raise if there are no AWS credentials where AWS is probably meant."""
    if profiles:
        some = ", ".join(profiles[:MOST_PROFILES]) + (", …" if len(profiles) > MOST_PROFILES else "")
        raise UsageError(
            "there are no AWS credentials, and no AWS profile was chosen",
            hint=f"--profile NAME, or AWS_PROFILE: {some}; --cloud local uses the local cloud",
        )
    if environ.get("CI", "").lower() not in ("", "0", "false", "no"):
        raise UsageError(
            "there are no AWS credentials, and this is a CI job (CI is set)",
            hint="give the job AWS credentials; --cloud local uses the local cloud",
        )


def aws_cloud(region: str | None, environ: Mapping[str, str], profile: str | None = None) -> Cloud:
    """Return AWS, in the region given or the one that the user's AWS settings name."""
    chosen = region or environ.get("AWS_REGION") or configured_region(profile)
    if not chosen:
        raise UsageError("no AWS region is set", hint="add --region us-east-1, or set AWS_REGION")
    if OTHER_PARTITIONS.match(chosen):
        raise UsageError(
            f"{chosen} is not of AWS's commercial partition, the only one that dask-bake knows",
            hint="GovCloud, China and the isolated and sovereign regions have no images of Debian's account;"
            " add --region us-east-1",
        )
    own = (("AWS_PROFILE", profile),) if profile else ()
    return Cloud(
        name="aws",
        region=chosen,
        address_url=AWS_ADDRESS_URL,
        environment=(("AWS_DEFAULT_REGION", chosen), *own),
        profile=profile,
    )


def local_cloud(url: str, credentials: Credentials, region: str | None) -> Cloud:
    """Return the local cloud at that URL, whose requests are signed with that key pair."""
    chosen = region or DEFAULT_LOCAL_REGION
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": chosen,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Cloud(
        name="local",
        region=chosen,
        address_url="",
        endpoint_url=url,
        environment=tuple(environment.items()),
        credentials_file=credentials.file,
        check_answer=partial(_check_answer, url, credentials),
        architectures=tuple(each for each in Architecture if each.machine == platform.machine()),
        is_free=True,
    )


def _check_answer(
    url: str, credentials: Credentials, authorization: str, headers: Mapping[str, str], body: bytes
) -> None:
    from dask_bake.local.admin_client import PROOF_HEADER, check_proof

    check_proof(credentials, url, authorization, headers.get(PROOF_HEADER, ""), body)


def caller_address(cloud: Cloud, notify: Notify = ignore) -> str:
    """Return this machine's address as the cloud sees it, as a block of one address.

    ssh uses no HTTP proxy, so the question goes past it if possible; else a note says whose address it is.
    """
    try:
        text = _local_caller(cloud) if cloud.endpoint_url is not None else _ask(cloud.address_url, notify)
        return str(ipaddress.ip_network(ipaddress.ip_address(text)))
    except (OSError, ValueError) as error:
        raise BakeError(
            f"cannot get this machine's address from {cloud.address_url}: {error}",
            hint="SSH is opened to that address alone; check the connection and try again",
        ) from error


def _ask(url: str, notify: Notify) -> str:
    import urllib.request

    def answer_of(*handlers: urllib.request.BaseHandler, timeout: float) -> str:
        opener = urllib.request.build_opener(*handlers)
        with opener.open(url, timeout=timeout) as answer:
            text: str = answer.read(200).decode("ascii", "replace").strip()
        return text

    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None or urllib.request.proxy_bypass(parts.netloc):
        return answer_of(timeout=ADDRESS_TIMEOUT)
    try:
        return answer_of(urllib.request.ProxyHandler({}), timeout=ADDRESS_TIMEOUT_PAST_PROXY)
    except OSError:
        text = answer_of(timeout=ADDRESS_TIMEOUT)
        notify(
            Note(
                "SSH is allowed from the address of the HTTP proxy, the only one that can be learned. ssh"
                " does not use that proxy: if it comes from another address, name that one with --cidr."
            )
        )
        return text


def _local_caller(cloud: Cloud) -> str:
    from dask_bake.local.admin_client import ask

    variables = dict(cloud.environment)
    credentials = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    settings = Settings(port=urlsplit(cloud.endpoint_url).port or 0)
    return str(ask("GET", "caller", settings=settings, credentials=credentials))


def start_local(notify: Notify, base: DebianRelease | None = None) -> "LocalEndpoint":
    """Return the endpoint of the local cloud, started if need be, with that release's base image."""
    from dask_bake.local import control

    return control.ensure_up(notify, base)


def running_local(_: Notify) -> "LocalEndpoint":
    """Return the endpoint of the local cloud if it runs: to look for clusters it need not be started."""
    from dask_bake.local import control

    endpoint = control.endpoint()
    if endpoint is None:
        raise LocalCloudDownError
    return endpoint


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
        has_credentials=partial(has_aws_credentials, notify),
        profiles=aws_profiles,
        notify=notify,
        starts=start,
    )
