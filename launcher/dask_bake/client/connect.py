"""``connect()``: a Dask client of a cluster, on a laptop and on a node alike."""

import os
import warnings
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, overload

from dask.utils import parse_timedelta
from distributed import Client

from dask_bake.client import node
from dask_bake.client.attached import with_link
from dask_bake.client.explain import cloud_flags, explained, ready
from dask_bake.client.interrupt import in_thread
from dask_bake.client.link import Link
from dask_bake.client.versions import check_versions, ignore_patch_releases, warn_of_versions
from dask_bake.clouds import open_cloud
from dask_bake.clusters.cluster_file import ClusterFile, read_cluster_file
from dask_bake.clusters.inventory import find
from dask_bake.ec2 import api
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import ignore
from dask_bake.forwarding.forwarder import Forwarder
from dask_bake.forwarding.scheduler import check_cluster, start_forwarding
from dask_bake.models.cloud import Cloud, CredentialSource
from dask_bake.models.cluster import Cluster
from dask_bake.options.configuration import read_configuration
from dask_bake.options.launch import CloudOptions
from dask_bake.options.parse import cloud_options
from dask_bake.options.values import quoted
from dask_bake.scaling.keep import start_keeper
from dask_bake.ssh.connect import find_node, open_tunnel, prepare_host, tls_files
from dask_bake.system.text import printable

CONNECT_TIMEOUT = 30.0
KEY_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@overload
def connect(
    name: str | None = None,
    *,
    cloud: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    file: str | os.PathLike[str] | None = None,
    allow_mismatch: bool = False,
    credentials: str | None = None,
    timeout: float | str | None = None,
    set_as_default: bool = True,
    asynchronous: Literal[False] = False,
) -> Client: ...


@overload
def connect(
    name: str | None = None,
    *,
    cloud: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    file: str | os.PathLike[str] | None = None,
    allow_mismatch: bool = False,
    credentials: str | None = None,
    timeout: float | str | None = None,
    set_as_default: bool = True,
    asynchronous: Literal[True],
) -> "Connecting": ...


@explained
def connect(
    name: str | None = None,
    *,
    cloud: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    file: str | os.PathLike[str] | None = None,
    allow_mismatch: bool = False,
    credentials: str | None = None,
    timeout: float | str | None = None,
    set_as_default: bool = True,
    asynchronous: bool = False,
) -> "Client | Connecting":
    """Return a client of the named cluster, or of the only one; closing it ends its SSH connection.

    ``client.dashboard_link`` leads to the cluster's dashboard, which is forwarded to this machine.

    ``file``, or the file that ``CLUSTERFILE`` names, is written by ``dask-bake launch --file``: it has the
    cluster's name, cloud and region.

    A client whose minor version of Python or version of distributed differs from the cluster's is refused
    before it sends anything, since it could end the scheduler; ``allow_mismatch`` connects it anyway.

    ``timeout`` limits the SSH connection and then Dask's, such as ``"10s"``; ``set_as_default`` is Dask's.
    With ``asynchronous`` the result is awaited, or used by ``async with``.

    ``credentials="forward"`` lets the tasks use this machine's AWS credentials: temporary ones are sent to
    the scheduler, and new ones as long as the client is open. A cluster that was launched with
    ``--credentials forward`` gets them without it, unless this is ``"none"``.

    On a node of a cluster, without arguments or with that cluster's name, the client is one of that cluster:
    the ``scheduler-address`` of Dask's configuration is used. Everywhere else it is ignored.

    For the local cloud, AWS variables that are not set in this process's environment are set, so that
    ``s3://`` means the same here and on the workers.
    """
    dasks: dict[str, Any] = {"set_as_default": set_as_default, "asynchronous": asynchronous}
    if timeout is not None:
        dasks["timeout"] = timeout
    flags = {"cloud": cloud, "region": region, "profile": profile}
    if credentials not in (None, CredentialSource.FORWARD, CredentialSource.NONE):
        raise UsageError(
            f"credentials={quoted(credentials)} is not a choice of connect()",
            hint='credentials="forward" sends yours; profile is a choice of dask-bake launch',
        )
    if node.is_own(name) and file is None and credentials is None and not any(flags.values()):
        return node.connect(name, **dasks)  # type: ignore[no-any-return]
    seconds = CONNECT_TIMEOUT if timeout is None else seconds_of(timeout)
    path = None if file is None else Path(file)
    opening = partial(
        _open, name, flags, path, seconds, allow_mismatch=allow_mismatch, credentials=credentials
    )
    if asynchronous:
        return Connecting(opening, cloud_flags({**flags}), dasks, credentials)
    client = TunnelledClient(opening(), **dasks)
    try:
        client.forward(credentials)
    except BaseException:
        client.close()
        raise
    return client


def seconds_of(timeout: float | str) -> float:
    """Return a time-out, in seconds or as Dask writes it.

    Raises:
        UsageError: if it is neither.
    """
    try:
        seconds = float(parse_timedelta(timeout, default="s"))
    except (TypeError, ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"timeout={timeout!r} is not a time", hint='timeout=10, or timeout="10s"')
    return seconds


class Connecting:
    """A client that is being connected: ``await connect(…, asynchronous=True)``, or ``async with``."""

    def __init__(
        self,
        opening: Callable[[], Link],
        flags: Sequence[str],
        keywords: dict[str, Any],
        credentials: str | None = None,
    ) -> None:
        self._opening = opening
        self._credentials = credentials
        self._flags = flags
        self._keywords = keywords
        self._client: TunnelledClient | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        client = await self._connect()
        return await client.__aenter__()  # type: ignore[no-untyped-call, no-any-return]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.__aexit__(kind, error, trace)  # type: ignore[no-untyped-call]

    async def _connect(self) -> Client:
        try:
            link = await in_thread(lambda _: self._opening())
        except BakeError as error:
            raise ready(error, self._flags) from None
        self._client = client = TunnelledClient(link, **self._keywords)
        try:
            await client
        except BaseException:
            await in_thread(lambda _: link.close())
            raise
        try:
            await in_thread(lambda _: client.forward(self._credentials))
        except BakeError as error:
            await client.close()
            raise ready(error, self._flags) from None
        return client


class TunnelledClient(Client):
    """Dask client whose SSH connection is closed when it is closed."""

    def __init__(self, link: Link, **keywords: Any) -> None:
        self._link = link
        self._forwarder: Forwarder | None = None
        self._is_asynchronous = bool(keywords.get("asynchronous"))
        try:
            super().__init__(link.address, security=link.security, **keywords)  # type: ignore[no-untyped-call]
        except BaseException:
            link.close()
            raise

    def forward(self, wanted: str | None) -> None:
        """Forward AWS credentials until the client is closed, if the caller or the cluster wants that.

        Args:
            wanted: the caller's choice; ``None`` for the cluster's, where an error is only a warning.
        """
        get = self._link.caller_credentials
        if (wanted or self._link.cluster.credentials) != CredentialSource.FORWARD or get is None:
            return
        try:
            self._forwarder = start_forwarding(self, get, _warn)
        except BakeError as error:
            if wanted is not None:
                raise
            _warn(f"Tasks do not get your AWS credentials: {error.message}")

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine, with the token that opens it."""
        return self._link.dashboard_link

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close the client, then its SSH connection."""
        try:
            return super().close(*args, **kwargs)  # type: ignore[no-untyped-call]
        finally:
            if not self._is_asynchronous:
                self._end()

    async def _close(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super()._close(*args, **kwargs)
        finally:
            if self._is_asynchronous:
                await in_thread(lambda _: self._end())

    def _end(self) -> None:
        if self._forwarder is not None:
            self._forwarder.stop()
        self._link.close()

    def _repr_html_(self) -> str:
        """Return Dask's description, with the dashboard's link that works from here."""
        _, info = self._get_scheduler_info(n_workers=0)  # type: ignore[no-untyped-call]
        return with_link(super()._repr_html_(), info, self.dashboard_link)  # type: ignore[no-untyped-call]


def _open(
    name: str | None,
    flags: dict[str, str | None],
    file: Path | None,
    timeout: float,
    *,
    allow_mismatch: bool,
    credentials: str | None,
) -> Link:
    where = {key: flags[key] for key in ("cloud", "region")}
    of = read_cluster_file(file, os.environ, {"name": name, **where})
    if of is not None:
        name, where = of.name, {"cloud": of.cloud, "region": of.region}
    meant = cloud_options({**where, "profile": flags["profile"]}, read_configuration())
    try:
        return _open_in(meant, name, of, timeout, allow_mismatch=allow_mismatch, credentials=credentials)
    except BakeError as error:
        ready(error, cloud_flags({**flags, **where}))
        raise


def _open_in(
    meant: CloudOptions,
    name: str | None,
    of: ClusterFile | None,
    timeout: float,
    *,
    allow_mismatch: bool,
    credentials: str | None,
) -> Link:
    chosen = open_cloud(meant.cloud, meant.region, profile=meant.profile, notify=ignore, start=False)
    client = api.connect(chosen, ignore)
    cluster = find(client, chosen, name)
    if of is not None:
        of.check(cluster)
    if credentials == CredentialSource.FORWARD:
        check_cluster(cluster)
    return open_link(cluster, chosen, client, timeout=timeout, allow_mismatch=allow_mismatch)


def open_link(
    cluster: Cluster,
    cloud: Cloud,
    ec2: Ec2,
    *,
    timeout: float = CONNECT_TIMEOUT,
    allow_mismatch: bool = False,
) -> Link:
    """Return a connection to the cluster's head; the caller closes it."""
    head = find_node(cluster, 0)
    are_known = allow_mismatch or check_versions(ec2, head, cluster.name)
    reached = prepare_host(cluster, head, cloud, ec2)
    tls = tls_files(cluster, cloud)
    if not are_known:
        warn_of_versions(head, cluster.name)
    ignore_patch_releases()
    if cloud.endpoint_url is not None:
        _set_missing(cloud.environment)
    link = Link(
        cluster,
        tls,
        lambda forwards: open_tunnel(cluster, cloud, reached, forwards, timeout),
        ec2.temporary_credentials,
    )
    if (keeper := start_keeper(cluster, cloud, ec2, _warn)) is not None:
        link.on_close(keeper.stop)
    return link


def _warn(sentence: str) -> None:
    warnings.warn(printable(sentence), stacklevel=2)


def _set_missing(variables: Sequence[tuple[str, str]]) -> None:
    """Set variables of this process that are not set; of a key pair both, or none."""
    has_key = any(name in os.environ for name in KEY_PAIR)
    for name, value in variables:
        if not (has_key and name in KEY_PAIR):
            os.environ.setdefault(name, value)
