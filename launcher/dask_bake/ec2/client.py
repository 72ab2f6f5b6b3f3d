"""boto3 clients for a cloud: credentials, endpoint, time-outs and retries."""

import difflib
import os
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.utils import get_environ_proxies

from dask_bake import __version__
from dask_bake.ec2.credentials import settings_errors
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.ec2.session import OwnCredentials, own_credentials, session_of
from dask_bake.environment.names import without_secrets
from dask_bake.errors import UsageError
from dask_bake.events import Called, Notify
from dask_bake.models.cloud import CheckAnswer, Cloud

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_ec2.client import EC2Client

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 60
"""Seconds."""
SHORT_TIMEOUT = 3
"""Seconds for both, for information that a launch does not depend on."""
OTHER_SERVICES = ("service-quotas", "iam", "pricing", "sts")
"""Services other than EC2 that are queried before a launch or a teardown."""
PRICING_REGION = "us-east-1"
"""The region whose endpoint serves the prices of all regions."""


class Clients:
    """boto3 clients of one session; each call sends an event."""

    def __init__(self, cloud: Cloud, notify: Notify, *, retries: RetryPolicy | None = None) -> None:
        self._cloud = cloud
        self._session = session_of(cloud, notify)
        self._making = threading.Lock()
        self._made: dict[str, Any] = {}
        self._session.register("creating-client-class.ec2", (retries or RetryPolicy(notify)).apply)
        for service in ("ec2", *OTHER_SERVICES):
            prefix = "" if service == "ec2" else f"{service.replace('-', '')}:"
            self._session.register(f"before-call.{service}", _tell(prefix, notify))
            if cloud.check_answer is not None:
                AnswerCheck(cloud.check_answer).apply(self._session, service)

    def own_credentials(self) -> OwnCredentials:
        """Return the caller's current credentials."""
        environment = dict(self._cloud.environment)
        if self._cloud.endpoint_url is not None:
            return OwnCredentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
        return own_credentials(self._session)

    def ec2(self, region: str | None = None) -> "EC2Client":
        """Return a client for EC2 in the given region, or in the cloud's, which is checked first."""
        if region is None:  # a region that EC2 listed may be newer than botocore
            check_region(self._session, self._cloud.region)
        made: EC2Client = self._make("ec2", region or self._cloud.region, CONNECT_TIMEOUT, READ_TIMEOUT)
        return made

    def other(self, service: str) -> Any:
        """Return the client for one of ``OTHER_SERVICES``: short time-outs, no retries; thread-safe."""
        with self._making:
            if service not in self._made:
                region = PRICING_REGION if service == "pricing" else self._cloud.region
                self._made[service] = self._make(service, region, SHORT_TIMEOUT, SHORT_TIMEOUT)
            return self._made[service]

    def _make(self, service: str, region: str, connect: int, read: int) -> Any:
        environment = dict(self._cloud.environment)
        with settings_errors(self._session):
            made = boto3.Session(botocore_session=self._session).client(  # type: ignore[call-overload]
                service,
                region_name=region,
                endpoint_url=self._cloud.endpoint_url,
                aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
                aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
                config=Config(
                    connect_timeout=connect,
                    read_timeout=read,
                    retries={"mode": "standard", "total_max_attempts": 1},
                    user_agent_extra=f"dask-bake/{__version__}",
                    proxies={} if self._cloud.endpoint_url else None,
                ),
            )
            # The port of an endpoint in the user's settings would be parsed only at the first request.
            _ = urlsplit(made.meta.endpoint_url).port
            if self._cloud.endpoint_url is None:
                check_connection(self._session, made.meta.endpoint_url, os.environ)
            return made


class AnswerCheck:
    """Has each answer checked against the request that the same thread sent last."""

    def __init__(self, check: CheckAnswer) -> None:
        self._check = check
        self._sent = threading.local()

    def apply(self, session: "Session", service: str) -> None:
        """Check the answers of a service to a session's clients, before they are parsed."""
        session.register(f"before-send.{service}", self._remember)
        session.register(f"before-parse.{service}", self._check_answer)

    def _remember(self, **about: Any) -> None:
        told = about["request"].headers.get("Authorization", "")
        self._sent.authorization = told.decode() if isinstance(told, bytes) else told

    def _check_answer(self, **about: Any) -> None:
        answer = about["response_dict"]
        self._check(self._sent.authorization, answer["headers"], answer["body"])


def check_region(session: "Session", region: str) -> None:
    """Raise if botocore knows no such region."""
    known = {
        each
        for partition in session.get_available_partitions()
        for each in session.get_available_regions("ec2", partition)
    }
    if region not in known:
        near = difflib.get_close_matches(region, sorted(known), n=3)
        meant = f"did you mean {' or '.join(near)}? " if near else "aws ec2 describe-regions lists them. "
        raise UsageError(f"there is no region {region}", hint=f"{meant}A new region needs a newer botocore")


def check_connection(session: "Session", url: str, environ: Mapping[str, str]) -> None:
    """Raise if the user's settings name a proxy or certificates for the URL that boto3 could never use."""
    scheme = urlsplit(url).scheme
    proxy = get_environ_proxies(url).get(scheme)
    if proxy and not _is_http_proxy(proxy):
        variable = next(each for each in (f"{scheme}_proxy", f"{scheme}_proxy".upper()) if environ.get(each))
        raise UsageError(
            f"{variable} is not the address of an HTTP proxy: {without_secrets(proxy)}",
            hint="write http://HOST:PORT, or unset it; boto3 cannot use SOCKS proxies",
        )
    bundles = {
        "AWS_CA_BUNDLE": environ.get("AWS_CA_BUNDLE"),
        "ca_bundle": session.get_config_variable("ca_bundle"),
        "REQUESTS_CA_BUNDLE": environ.get("REQUESTS_CA_BUNDLE"),
    }
    name = next((each for each, path in bundles.items() if path), "")
    if name and scheme == "https":
        try:
            ssl.create_default_context(cafile=bundles[name])
        except OSError as error:
            why = "it has no certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(
                f"{name} names {bundles[name]}, which cannot be used: {why}",
                hint="correct it, or unset it; it is a file of certificates in PEM format",
            ) from error


def _is_http_proxy(proxy: str) -> bool:
    """Return whether boto3 can use the address, to which it adds http:// if it has no scheme."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy.removeprefix('//')}")
        _ = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and host != "" and not re.search(r"[^\w.:-]", host)


def _tell(prefix: str, notify: Notify) -> Callable[..., None]:
    def tell(**about: Any) -> None:
        body = about["params"].get("body")
        is_dry = isinstance(body, dict) and body.get("DryRun") == "true"
        notify(Called(("dry run:" if is_dry else prefix) + about["model"].name))

    return tell
