"""Python API: ``connect()`` returns a Dask client, on a laptop and on a node alike."""

import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client
from distributed.security import Security
from distributed.utils import format_dashboard_link
from distributed.versions import VersionMismatchWarning

from dask_bake.clouds import open_cloud
from dask_bake.clusters.cluster_file import ClusterFile, read_cluster_file
from dask_bake.clusters.inventory import find
from dask_bake.ec2 import api
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, TransientError, UsageError
from dask_bake.events import ignore
from dask_bake.forwarding.forwarder import Forwarder
from dask_bake.forwarding.scheduler import check_cluster, start_forwarding
from dask_bake.hints import complete, flags_of
from dask_bake.images.compatibility import check_client, installed_packages
from dask_bake.models.cloud import CredentialSource
from dask_bake.models.cluster import DASHBOARD_PORT, SCHEDULER_PORT, Node
from dask_bake.models.credentials import TemporaryCredentials
from dask_bake.models.tags import CLIENT_TAGS
from dask_bake.options.configuration import read_configuration
from dask_bake.options.launch import CloudOptions
from dask_bake.options.parse import cloud_options
from dask_bake.options.values import quoted
from dask_bake.ssh.command import Forward
from dask_bake.ssh.connect import find_node, open_tunnel, prepare_host, tls_files
from dask_bake.ssh.dask_comm import register
from dask_bake.ssh.tunnel import Tunnel, dask_address, private_socket
from dask_bake.system.text import printable

CONNECT_TIMEOUT = 30.0
NODE_FILE = Path("/etc/dask-bake/manifest.json")
"""A file that every node has, and no other machine."""
KEY_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def connect(
    name: str | None = None,
    *,
    cloud: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    file: str | os.PathLike[str] | None = None,
    allow_mismatch: bool = False,
    credentials: str | None = None,
) -> Client:
    """Return a client of the named cluster, or of the only one; closing it ends its SSH connection.

    ``file``, or the file that ``CLUSTERFILE`` names, is written by ``dask-bake launch --file``: it has the
    cluster's name, cloud and region.

    A client whose minor version of Python or version of distributed differs from the cluster's is refused
    before it sends anything, since it could end the scheduler; ``allow_mismatch`` connects it anyway.

    ``credentials="forward"`` lets the tasks use this machine's AWS credentials: temporary ones are sent to
    the scheduler, and new ones as long as the client is open. A cluster that was launched with
    ``--credentials forward`` gets them without it, unless this is ``"none"``.

    On a node of a cluster, without arguments, the client is one of that cluster: the ``scheduler-address`` of
    Dask's configuration is used. Everywhere else it is ignored.

    For the local cloud, AWS variables that are not set in this process's environment are set, so that
    ``s3://`` means the same here and on the workers.
    """
    is_told = any(each is not None for each in (name, cloud, region, profile, file, credentials))
    if not is_told and NODE_FILE.exists() and dask.config.get("scheduler-address", None):
        return Client()  # type: ignore[no-untyped-call]
    flags = {"cloud": cloud, "region": region}
    of = read_cluster_file(None if file is None else Path(file), os.environ, {"name": name, **flags})
    if of is not None:
        name, flags = of.name, {"cloud": of.cloud, "region": of.region}
    if credentials not in (None, CredentialSource.FORWARD, CredentialSource.NONE):
        raise UsageError(
            f"credentials={quoted(credentials)} is not a choice of connect()",
            hint='credentials="forward" sends yours; profile is a choice of dask-bake launch',
        )
    meant = cloud_options({**flags, "profile": profile}, read_configuration())
    with _completed_hints(flags_of(**flags, profile=profile)):
        return _connect(name, meant, of, allow_mismatch=allow_mismatch, credentials=credentials)


def _connect(
    name: str | None,
    meant: CloudOptions,
    of: ClusterFile | None,
    *,
    allow_mismatch: bool,
    credentials: str | None,
) -> Client:
    chosen = open_cloud(meant.cloud, meant.region, profile=meant.profile, notify=ignore, start=False)
    client = api.connect(chosen, ignore)
    cluster = find(client, chosen, name)
    if of is not None:
        of.check(cluster)
    if credentials == CredentialSource.FORWARD:
        check_cluster(cluster)
    head = find_node(cluster, 0)
    are_known = allow_mismatch or check_versions(client, head, cluster.name)
    reached = prepare_host(cluster, head, chosen, client)
    tls = tls_files(cluster, chosen)
    if not are_known:
        warn_of_versions(head, cluster.name)
    if chosen.endpoint_url is not None:
        _set_missing(chosen.environment)
    forward = Forward(private_socket(SCHEDULER_PORT), SCHEDULER_PORT)
    tunnel = open_tunnel(cluster, chosen, reached, [forward], CONNECT_TIMEOUT)
    try:
        made = TunnelledClient(tunnel, tls=tls)
    except BaseException:
        tunnel.close()
        raise
    try:
        made.forward(client.temporary_credentials, cluster.credentials, credentials)
    except BaseException:
        made.close()
        raise
    return made


def check_versions(client: Ec2, head: Node, cluster: str) -> bool:
    """Raise if this process's versions differ from the cluster's, by the tags of its head or of its image.

    Return whether the cluster's versions are known.
    """
    tags = head.tags
    if not set(CLIENT_TAGS) <= set(dict(tags)):  # launched by an older version
        try:
            tags = client.image(head.image_id).tags
        except (TransientError, UsageError):
            raise
        except BakeError:  # the image is gone, or images may not be listed
            tags = ()
    check_client(tags, installed_packages(), cluster=cluster)
    return set(CLIENT_TAGS) <= set(dict(tags))


def warn_of_versions(head: Node, cluster: str) -> None:
    """Warn the caller of ``connect()`` that the cluster's versions are unknown."""
    warnings.warn(
        f"The versions of the cluster {cluster} are unknown: neither its head nor its image {head.image_id}"
        " has them. A client of another Python or distributed may end its scheduler.",
        stacklevel=4,
    )


def _set_missing(variables: Sequence[tuple[str, str]]) -> None:
    """Set variables of this process that are not set; of a key pair both, or none."""
    has_key = any(name in os.environ for name in KEY_PAIR)
    for name, value in variables:
        if not (has_key and name in KEY_PAIR):
            os.environ.setdefault(name, value)


@contextmanager
def _completed_hints(flags: Sequence[str]) -> Iterator[None]:
    """Add the flags by which the caller chose the cloud to an error's hint, and make the error printable."""
    try:
        yield
    except BakeError as error:
        error.args = (printable(error.message),)  # Python prints it as it is
        error.hint = error.hint and complete(error.hint, flags)
        raise


class TunnelledClient(Client):
    """Dask client that keeps its SSH connection alive, and closes it when the client is closed."""

    def __init__(self, tunnel: Tunnel, *, tls: Mapping[str, str], **kwargs: Any) -> None:
        self._tunnel = tunnel
        self._forwarder: Forwarder | None = None
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="dask-bake tunnel", daemon=True)
        self._keeper.start()
        # If nobody closes the client, the connection ends when the interpreter exits.
        weakref.finalize(self, tunnel.close)
        register()
        address = dask_address(Path(str(tunnel.forwards[0].local)), tls=bool(tls))
        # The user's configuration of Dask is about other clusters.
        kwargs["security"] = Security(require_encryption=bool(tls), **tls)  # type: ignore[no-untyped-call]
        try:
            with without_small_talk():
                super().__init__(address, **kwargs)  # type: ignore[no-untyped-call]
        except BaseException:
            self._end()
            raise

    def forward(
        self, get: Callable[[], TemporaryCredentials], source: CredentialSource, wanted: str | None
    ) -> None:
        """Forward AWS credentials until the client is closed, if the caller or the cluster wants that.

        Args:
            get: returns the caller's credentials.
            source: the cluster's source of credentials.
            wanted: the caller's; ``None`` for the cluster's, where an error is only a warning.
        """
        if (wanted or source) != CredentialSource.FORWARD:
            return
        try:
            self._forwarder = start_forwarding(self, get, _warn)
        except BakeError as error:
            if wanted is not None:
                raise
            _warn(f"Tasks do not get your AWS credentials: {error.message}")

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address while ``dask-bake connect`` or ``ui`` runs; the client forwards none."""
        return str(format_dashboard_link("127.0.0.1", DASHBOARD_PORT))  # type: ignore[no-untyped-call]

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close the client, then its SSH connection."""
        try:
            return super().close(*args, **kwargs)  # type: ignore[no-untyped-call]
        finally:
            self._end()

    def _end(self) -> None:
        if self._forwarder is not None:
            self._forwarder.stop()
        self._ended.set()
        self._keeper.join()
        self._tunnel.close()

    def _keep(self) -> None:
        while not self._ended.wait(1.0):
            self._tunnel.advance()


def _warn(sentence: str) -> None:
    warnings.warn(printable(sentence), stacklevel=2)


@contextmanager
def without_small_talk() -> Iterator[None]:
    """Drop Dask's warning about versions if the only mismatch is Python's patch release."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not (warning.category is VersionMismatchWarning and is_small_talk(str(warning.message))):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def is_small_talk(table: str) -> bool:
    """Return whether a table of mismatched versions has only a row for Python, with one minor version."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    packages = rows[1:]
    if [row[0] for row in packages] != ["python"]:
        return False
    return len({tuple(version.split(".")[:2]) for version in packages[0][1:]}) == 1
