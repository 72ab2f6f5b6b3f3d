"""``dask-bake launch``: plan the launch, then carry it out or, with ``--dry-run``, show it."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dask_bake.clouds import caller_address
from dask_bake.clusters.auto_shutdown import limits_in_words
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.protocols import HeadConnection
from dask_bake.errors import LeftoverError
from dask_bake.events import Note, Notify
from dask_bake.forwarding.session import forward_once
from dask_bake.hints import cluster_command
from dask_bake.images import compatibility
from dask_bake.images.compatibility import Packages
from dask_bake.launch import preflight, warnings
from dask_bake.launch.bootstrap import bootstrap_files, keys_for
from dask_bake.launch.discovery import discover, newest_base
from dask_bake.launch.dry_run import Permission, ask_permissions, check_permissions
from dask_bake.launch.executor import launch, staying
from dask_bake.launch.plan import LaunchPlan, check_user_data
from dask_bake.launch.pricing import FREE, Cost, Prices, cost, in_words, look_up_prices
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.options.launch import LaunchOptions
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.ssh.keystore import Keys, Keystore, keystore_of
from dask_bake.ssh.transport import Transport, check_programs, check_version, requested_transport
from dask_bake.system.concurrency import BackgroundCall
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
    make_connection: Callable[[Keystore, Keys, Transport], HeadConnection] = SshHeadConnection,
) -> int:
    """Launch the cluster, or with ``dry_run`` show the plan; return the exit code."""
    keys, plan = prepare(options, cloud, ec2, terminal.notify)
    for note in notes(plan, compatibility.installed_packages(), now=datetime.now(UTC)):
        terminal.notify(Note(note))
    newest = BackgroundCall(lambda: newest_base(plan.target.image, ec2))
    pricing = BackgroundCall(lambda: cost_of(plan, cloud, ec2))
    if dry_run:
        allowed = ask_permissions(plan, ec2)
        _note_staleness(plan, newest.result(), terminal)
        _show_plan(plan, allowed, pricing.result(), terminal, json_output=json_output)
        check_permissions(allowed)
        return 0
    connection = head_connection(plan, keys, cloud, make_connection)
    with ExitStack() as up:
        cluster, seconds = _launch(plan, ec2, connection, terminal, up)
        if options.file is not None:
            key = keystore_of(cloud, options.name, plan.launch_id, os.environ).key
            write_metadata(options.file, cluster_json.metadata_document(cluster, str(key)), cluster)
        forward_once(cluster, cloud, ec2, terminal.notify)
        _note_staleness(plan, newest.result_within(0.0), terminal)
        price = pricing.result_within(0.0)
        _show_cluster(options, cluster, seconds, price, terminal, json_output=json_output)
    return 0


def prepare(options: LaunchOptions, cloud: Cloud, ec2: Ec2, notify: Notify) -> tuple[Keys, LaunchPlan]:
    """Look up everything that the launch depends on, and return its keys and its plan."""
    check_programs(options.transport)
    check_version(options.transport)
    keys = keys_for(options)
    launch_id, now = secrets.token_hex(6), datetime.now(UTC)
    found = discover(options, cloud, ec2, lambda: caller_address(cloud, notify))
    target = preflight.check(options, cloud, found, now=now)
    plan = LaunchPlan(options, target, launch_id, bootstrap_files(options, keys), begun=now)
    check_user_data(plan)
    return keys, plan


def head_connection(
    plan: LaunchPlan,
    keys: Keys,
    cloud: Cloud,
    make_connection: Callable[[Keystore, Keys, Transport], HeadConnection] = SshHeadConnection,
) -> HeadConnection:
    """Return the connection to the head to be, with its keys; those of an ended cluster of the name go."""
    options = plan.options
    folder = keystore_of(cloud, options.name, plan.launch_id, os.environ)
    if (ended := plan.target.ended) is not None:
        keystore_of(cloud, ended.name, ended.launch_id, os.environ).delete()
    return make_connection(folder, keys, requested_transport(options, cloud, plan.target.endpoint))


def _launch(
    plan: LaunchPlan, ec2: Ec2, connection: HeadConnection, terminal: Terminal, up: ExitStack
) -> tuple[Cluster, float]:
    """Launch the cluster; from then on ``up`` reports an interrupt or lost output as a cluster that is up."""
    with terminal.watching() as progress:
        cluster = launch(
            plan, ec2, connection, notify=terminal.notify, clock=time.monotonic, sleep=time.sleep
        )
        up.enter_context(staying(cluster))
        up.enter_context(_reporting_lost_output(cluster, terminal))
        return cluster, progress.elapsed


def notes(plan: LaunchPlan, client: Packages, *, now: datetime) -> tuple[str, ...]:
    """Return warnings about this plan; raise if client and image have incompatible versions."""
    image = plan.target.image
    return (
        *compatibility.mismatches(image, client, allow_mismatch=plan.options.allow_mismatch),
        *compatibility.doubts(image),
        *warnings.name_reuse(plan, now),
        *warnings.notes(plan),
    )


def _note_staleness(plan: LaunchPlan, newest_base: str | None, terminal: Terminal) -> None:
    """Say if the image should be baked again: after the launch, which does not wait for the newest base."""
    for note in compatibility.staleness(plan.target.image, newest_base=newest_base, now=datetime.now(UTC)):
        terminal.notify(Note(note))


def cost_of(plan: LaunchPlan, cloud: Cloud, ec2: Ec2) -> Cost:
    """Return the cost of the plan's cluster, as far as AWS answers in time."""
    if cloud.is_free:
        return FREE
    return cost(plan, Prices() if ec2.prices is None else look_up_prices(ec2.prices, plan))


def write_metadata(path: Path, document: object, cluster: Cluster) -> None:
    """Write the cluster's metadata file; if that fails, the cluster stays up."""
    import yaml

    try:
        path.write_text(yaml.safe_dump(document, sort_keys=False))
    except OSError as error:
        raise LeftoverError(
            f"{path} could not be written: {error.strerror}; the cluster {cluster.name} is running and"
            " costs money",
            hint=f"{cluster_command('status', cluster.name)} --json shows it,"
            f" {cluster_command('down', cluster.name)} ends it",
        ) from error


@contextmanager
def _reporting_lost_output(cluster: Cluster, terminal: Terminal) -> Iterator[None]:
    """Report a cluster that is up although the result could not be written to stdout."""
    try:
        with terminal.delivering():
            yield
    except OSError as error:
        raise LeftoverError(
            f"the result could not be written: {error.strerror}; the cluster {cluster.name} is running and"
            " costs money",
            hint=f"{cluster_command('status', cluster.name)} shows it,"
            f" {cluster_command('down', cluster.name)} ends it",
        ) from error


def _show_cluster(
    options: LaunchOptions,
    cluster: Cluster,
    seconds: float,
    cost: Cost | None,
    terminal: Terminal,
    *,
    json_output: bool,
) -> None:
    registered = dict(terminal.last_seen.registered) if terminal.last_seen else {}
    if json_output:
        document = cluster_json.launch_document(
            cluster, registered=registered, seconds=seconds, calls=terminal.calls
        )
        document["cost"] = None if cost is None else cluster_json.cost_document(cost)
        terminal.write_json(document)
        return
    terminal.out.print(
        clusters.ready_panel(
            cluster,
            registered=sum(registered.values()),
            seconds=seconds,
            flags=terminal.flags,
            cost=in_words(cost) if cost and cost.known else None,
            ends=_ends(options),
        )
    )


def _ends(options: LaunchOptions) -> str:
    """Return when the cluster ends by itself, as its user-data says."""
    if not options.provision:
        return limits_in_words(lifetime=0, idle=0)
    return limits_in_words(lifetime=options.max_lifetime, idle=options.idle_timeout if options.dask else 0)


def _show_plan(
    plan: LaunchPlan, permissions: Sequence[Permission], cost: Cost, terminal: Terminal, *, json_output: bool
) -> None:
    if json_output:
        terminal.write_json(cluster_json.plan_document(plan, permissions, cost))
    else:
        terminal.out.print(launch_plan.plan_view(plan, permissions, cost), crop=False)
