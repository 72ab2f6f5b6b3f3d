"""Verify an image: boot a head and a worker from it, compute a sum, and terminate them."""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dask_bake.bake.options import BakeOptions
from dask_bake.bake.plan import launch_options, verification_name
from dask_bake.clusters.ownership import current_owner
from dask_bake.clusters.teardown import take_down
from dask_bake.ec2.protocols import BakeApi, HeadConnection
from dask_bake.errors import NotReadyError
from dask_bake.events import Event, Notify, Output, Phases
from dask_bake.launch.bootstrap import Bootstrap
from dask_bake.launch.discovery import find_subnets
from dask_bake.launch.executor import launch
from dask_bake.launch.plan import LaunchPlan, LaunchTarget
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.models.ec2 import Image
from dask_bake.ssh.command import host, ssh_command
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys, Keystore, keystore_of
from dask_bake.system.subprocesses import TIMED_OUT, run_with_timeout

PHASE = "verify"
COMPUTING = 60.0

CODE = """
import json
from distributed import Client
client = Client(timeout=30)
client.wait_for_workers(1, timeout=30)
print(json.dumps([client.submit(sum, range(100)).result(timeout=30), len(client.nthreads())]))
"""
ANSWER = [4950, 1]
"""The sum, as the worker computed it, and the number of workers."""


@dataclass(frozen=True)
class Verifier:
    """Verification of images on a cluster of two.

    Args:
        compute: what the code printed that ran on the cluster's head.
    """

    cloud: Cloud
    ec2: BakeApi
    caller: Callable[[], str]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    make_connection: Callable[[Keystore, Keys], HeadConnection] = SshHeadConnection
    compute: "Callable[[Cluster, Keystore], str] | None" = None

    def verify(self, image: Image, digest: str, options: BakeOptions, notify: Notify) -> None:
        """Verify the image; the cluster is removed in any case.

        Raises:
            NotReadyError: when it does not boot, does not join, or computes something else.
            BakeError: when there were no machines to see that on.
        """
        phases = Phases(notify, self.clock)
        phases.enter(PHASE)
        try:
            self._verify(image, digest, options, _inner(notify))
        finally:
            phases.leave()

    def _verify(self, image: Image, digest: str, options: BakeOptions, notify: Notify) -> None:
        name, launch_id = verification_name(digest), secrets.token_hex(6)
        pair = new_key(f"dask-bake {name}")
        folder = keystore_of(self.cloud, name, launch_id, os.environ)
        connection = self.make_connection(folder, Keys(pair))
        cluster = launch(
            self._plan(image, options, name, launch_id, pair.public),
            self.ec2,
            connection,
            notify=notify,
            clock=self.clock,
            sleep=self.sleep,
        )
        try:
            output = (self.compute or compute_on_head)(cluster, folder)
        finally:
            take_down(cluster, self.ec2, connection, notify=notify, clock=self.clock, sleep=self.sleep)
        if output.split("\n")[-1:] != [json.dumps(ANSWER)]:
            raise NotReadyError(
                f"a cluster of {image.id} does not compute: the result was {output or 'empty'}"
            )

    def _plan(
        self, image: Image, options: BakeOptions, name: str, launch_id: str, public_key: str
    ) -> LaunchPlan:
        chosen = launch_options(options, name)
        target = LaunchTarget(
            cloud=self.cloud.name,
            region=self.cloud.region,
            image=image,
            subnets=find_subnets(chosen, self.ec2),
            types=self.ec2.instance_types(chosen.type),
            offerings=self.ec2.offerings(chosen.type),
            callers=chosen.cidr or (self.caller(),),
            owner=current_owner(self.ec2),
        )
        return LaunchPlan(chosen, target, launch_id, Bootstrap(public_key), begun=datetime.now(UTC))


def compute_on_head(cluster: Cluster, folder: Keystore) -> str:
    """Run the code by the environment's Python on the head, and return its output."""
    assert cluster.head is not None  # noqa: S101 - the launch has seen it
    command = ssh_command(
        host(cluster, cluster.head, folder), options=("-T",), words=("/opt/dask/bin/python -",)
    )
    done = run_with_timeout(command, COMPUTING, text=CODE)
    if done.returncode == TIMED_OUT:
        return f"nothing within {COMPUTING:.0f} s"
    return (done.stdout if done.returncode == 0 else done.stdout + done.stderr).strip()


def _inner(notify: Notify) -> Notify:
    """Pass on what the nodes print, without the phases of the launch."""

    def tell(event: Event) -> None:
        if isinstance(event, Output):
            notify(event)

    return tell
