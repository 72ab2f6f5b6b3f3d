"""Forwarding to a cluster: once after its launch, and as long as its owner is connected."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError
from dask_bake.events import Note, Notify
from dask_bake.forwarding.scheduler import short_client, start_forwarding
from dask_bake.models.cloud import Cloud, CredentialSource
from dask_bake.models.cluster import SCHEDULER_PORT, Cluster
from dask_bake.ssh.command import Forward
from dask_bake.ssh.connect import find_node, open_tunnel, prepare_host, tls_files
from dask_bake.ssh.tunnel import dask_address, private_socket


def forward_once(cluster: Cluster, cloud: Cloud, ec2: Ec2, notify: Notify) -> None:
    """Send the caller's credentials to a cluster that was launched to get them; a note says if that fails."""
    if cluster.credentials is not CredentialSource.FORWARD:
        return
    forward = Forward(private_socket(SCHEDULER_PORT), SCHEDULER_PORT)
    try:
        reached = prepare_host(cluster, find_node(cluster, 0), cloud, ec2)
        with (
            open_tunnel(cluster, cloud, reached, [forward]),
            forwarding(cluster, cloud, ec2, forward, notify) as ends,
        ):
            if ends:
                notify(Note(f"Tasks can use your AWS credentials until {ends}; connect() renews them."))
    except BakeError as error:
        notify(Note(f"Tasks do not get your AWS credentials yet: {error.message}. connect() sends them."))


@contextmanager
def forwarding(cluster: Cluster, cloud: Cloud, ec2: Ec2, forward: Forward, notify: Notify) -> Iterator[str]:
    """Forward the caller's credentials through an open tunnel, if the cluster was launched to get them.

    Yield when those that were sent first expire; "" if none were sent.
    """
    if cluster.credentials is not CredentialSource.FORWARD:
        yield ""
        return
    tls = tls_files(cluster, cloud)
    with short_client(dask_address(Path(str(forward.local)), tls=bool(tls)), tls) as client:
        forwarder = start_forwarding(client, ec2.temporary_credentials, lambda text: notify(Note(f"{text}.")))
        try:
            assert forwarder.current is not None  # noqa: S101 - start_forwarding has sent them
            yield f"{forwarder.current.expires:%H:%M} UTC"
        finally:
            forwarder.stop()
