"""``dask-bake launch``: look-ups, plan, then the launch or, with ``--dry-run``, the plan shown."""

import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from dask_bake.clouds import caller_address
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.protocols import WayIn
from dask_bake.errors import LeftoverError
from dask_bake.events import Note
from dask_bake.images import compatibility
from dask_bake.images.compatibility import Packages
from dask_bake.launch import permissions, preflight
from dask_bake.launch.bootstrap import handout, keys_for
from dask_bake.launch.discovery import look_around
from dask_bake.launch.executor import launch, staying
from dask_bake.launch.permissions import Permission
from dask_bake.launch.plan import LaunchPlan
from dask_bake.launch.pricing import FREE, Cost, Prices, cost, in_words
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.options.launch import LaunchOptions
from dask_bake.ssh.head_connection import SshWayIn
from dask_bake.ssh.keystore import Keys, Secrets, secrets_of
from dask_bake.ssh.transport import Carrier, asked_for, check_programs, check_version
from dask_bake.system.concurrency import Asking
from dask_bake.view import cluster_json, clusters, launch_plan
from dask_bake.view.terminal import Terminal


def run(
    options: LaunchOptions,
    cloud: Cloud,
    ec2: Ec2,
    terminal: Terminal,
    *,
    dry_run: bool,
    json_output: bool,
    make_way_in: Callable[[Secrets, Keys, Carrier], WayIn] = SshWayIn,
) -> int:
    """Launches the cluster, and returns the exit code."""
    launch_id = secrets.token_hex(6)
    check_programs(options.way)
    check_version(options.way)
    keys = keys_for(options)
    around = look_around(options, cloud, ec2, lambda: caller_address(cloud))
    plan = LaunchPlan(options, around, launch_id, handout(options, keys), begun=datetime.now(UTC))
    preflight.check_user_data(plan)
    for note in notes(plan, own_packages(), now=datetime.now(UTC)):
        terminal.notify(Note(note))
    asking = Asking(lambda: cost_of(plan, cloud, ec2))
    if dry_run:
        allowed = permissions.ask(plan, ec2)
        _show_plan(plan, allowed, asking.answer(), terminal, json_output=json_output)
        permissions.check(allowed)
        return 0
    folder = secrets_of(cloud, options.name, launch_id, os.environ)
    with ExitStack() as up:
        with terminal.watching() as watch:
            cluster = launch(
                plan,
                ec2,
                make_way_in(folder, keys, asked_for(options, cloud, around.endpoint)),
                notify=terminal.notify,
                clock=time.monotonic,
                sleep=time.sleep,
            )
            up.enter_context(staying(cluster))
            up.enter_context(_telling(cluster, terminal))
            seconds = watch.elapsed
        found = asking.within(0.0)
        _show_cluster(cluster, found, seconds, options, folder, terminal, json_output=json_output)
    return 0


def notes(plan: LaunchPlan, client: Packages, *, now: datetime) -> tuple[str, ...]:
    """What the user should know of this plan; versions that do not go together are an error."""
    around = plan.surroundings
    return (
        *compatibility.mismatches(around.image, client, allow_mismatch=plan.options.allow_mismatch),
        *compatibility.doubts(around.image),
        *compatibility.staleness(around.image, newest_base=around.newest_base, now=now),
        *preflight.notes(plan),
    )


def cost_of(plan: LaunchPlan, cloud: Cloud, ec2: Ec2) -> Cost:
    """What the plan's cluster costs, as far as AWS says that in time."""
    if cloud.is_free:
        return FREE
    return cost(plan, Prices() if ec2.prices is None else ec2.prices.of(plan))


def own_packages() -> Packages:
    """The versions that a client on this machine has: those of the environment that dask-bake is in."""
    return Packages(
        python=platform.python_version(),
        dask=_installed("dask"),
        distributed=_installed("distributed"),
        numpy=_installed("numpy"),
        pandas=_installed("pandas"),
    )


def write_metadata(path: Path, document: object, cluster: Cluster) -> None:
    """Writes the cluster's metadata; the cluster stays, even where the file cannot be written."""
    import yaml

    try:
        path.write_text(yaml.safe_dump(document, sort_keys=False))
    except OSError as error:
        raise LeftoverError(
            f"{path} could not be written: {error.strerror}; the cluster {cluster.name} is up, and costs",
            hint=f"{cluster.command('status')} --json shows it, {cluster.command('down')} ends it",
        ) from error


@contextmanager
def _telling(cluster: Cluster, terminal: Terminal) -> Iterator[None]:
    """The cluster stays, even where nobody can be told of it on stdout."""
    try:
        with terminal.heard():
            yield
    except OSError as error:
        raise LeftoverError(
            f"the result could not be written: {error.strerror}; the cluster {cluster.name} is up, and costs",
            hint=f"{cluster.command('status')} shows it, {cluster.command('down')} ends it",
        ) from error


def _show_cluster(
    cluster: Cluster,
    found: Cost | None,
    seconds: float,
    options: LaunchOptions,
    folder: Secrets,
    terminal: Terminal,
    *,
    json_output: bool,
) -> None:
    registered = dict(terminal.last_seen.registered) if terminal.last_seen else {}
    if options.file is not None:
        write_metadata(options.file, cluster_json.metadata_document(cluster, str(folder.key)), cluster)
    if json_output:
        document = cluster_json.launch_document(
            cluster, registered=registered, seconds=seconds, calls=terminal.calls
        )
        document["cost"] = None if found is None else cluster_json.cost_document(found)
        terminal.write_json(clusters.as_json(document))
    else:
        count = sum(registered.values())
        terminal.out.print(
            clusters.ready_panel(
                cluster,
                registered=count,
                seconds=seconds,
                calls=sum(":" not in call for call in terminal.calls),
                cost=in_words(found) if found and found.known else None,
            )
        )


def _show_plan(
    plan: LaunchPlan, permissions: Sequence[Permission], found: Cost, terminal: Terminal, *, json_output: bool
) -> None:
    if json_output:
        terminal.write_json(clusters.as_json(cluster_json.plan_document(plan, permissions, found)))
    else:
        terminal.out.print(launch_plan.plan_view(plan, permissions, found), crop=False)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
