"""``dask-bake ls``, ``status``, ``address``, ``extend``, ``down``: clusters that exist."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from click import Abort

from dask_bake.access import ended
from dask_bake.clusters import teardown
from dask_bake.clusters.auto_shutdown import EXTEND, ShutdownTimer, parse_timers
from dask_bake.clusters.condition import State, condition
from dask_bake.clusters.inventory import find, list_clusters, with_troubles
from dask_bake.clusters.naming import moment
from dask_bake.clusters.teardown import take_down
from dask_bake.commands.confirm import confirm
from dask_bake.commands.notebooks import save_before_end
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.prices import PRICE_LOOKUP_TIMEOUT, PriceList
from dask_bake.errors import (
    BakeError,
    CommandInterruptedError,
    LeftoverError,
    NoClusterError,
    UsageError,
    unexpected,
)
from dask_bake.events import Event, Note, PhaseStarted
from dask_bake.hints import cluster_command, command_line
from dask_bake.launch.pricing import in_words, running_cost, running_costs
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from dask_bake.ssh.command import run_there
from dask_bake.ssh.connect import (
    check_reachable,
    find_node,
    is_callers,
    local_keystore,
    prepare_host,
    prepare_hosts,
    query_head,
)
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.system.concurrency import BackgroundCall
from dask_bake.view import cluster_json, clusters
from dask_bake.view.layout import counted
from dask_bake.view.terminal import Terminal


def list_all(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, json_output: bool) -> int:
    """Show all clusters of the region."""
    return show_list(list_clusters(ec2, cloud), terminal, prices_of(cloud, ec2), json_output=json_output)


def prices_of(cloud: Cloud, ec2: Ec2) -> PriceList | None:
    """Return AWS's prices; ``None`` where nothing costs money."""
    return None if cloud.is_free else ec2.prices


def show_list(
    found: Sequence[Cluster], terminal: Terminal, prices: PriceList | None = None, *, json_output: bool
) -> int:
    """Show these clusters, with their cost if there are prices."""
    now = datetime.now(UTC)
    costs = None if prices is None else running_costs(found, prices)
    if json_output:
        documents = [cluster_json.cluster_document(cluster, its=condition(cluster, now)) for cluster in found]
        for document, cost in zip(documents, costs or [None] * len(documents), strict=True):
            document["cost"] = None if cost is None else cluster_json.cost_document(cost)
        terminal.write_json(documents)
    else:
        terminal.out.print(clusters.clusters_table(found, now, costs))
    return 0


def status(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Show one cluster, with its workers and timers if its head can be reached.

    The exit code is 1 for a cluster that is degraded or has ended.
    """
    cluster = find(ec2, cloud, name)
    prices = prices_of(cloud, ec2)
    pricing = BackgroundCall(lambda: None if prices is None else running_cost(cluster, prices))
    registered, timer_text = query_head(cluster, cloud, ec2, terminal.notify)
    cluster = with_troubles(ec2, cluster, registered)
    timers, now = parse_timers(timer_text), datetime.now(UTC)
    its = condition(cluster, now)
    cost = pricing.result_within(PRICE_LOOKUP_TIMEOUT)
    if json_output:
        document = cluster_json.cluster_document(cluster, registered, timers, its)
        document["cost"] = None if cost is None else cluster_json.cost_document(cost)
        terminal.write_json(document)
    else:
        words = in_words(cost) if cost and cost.known else None
        terminal.out.print(clusters.cluster_view(cluster, registered, now, timers, terminal.flags, words))
    return 1 if its.state in (State.DEGRADED, State.ENDED) else 0


def address(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Show a cluster's addresses, as EC2 knows them."""
    cluster = find(ec2, cloud, name)
    document = cluster_json.address_document(cluster, terminal.flags)
    if json_output:
        terminal.write_json(document)
    else:
        terminal.out.print(clusters.address_panel(cluster, document))
    return 0


def extend(
    cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, seconds: int, json_output: bool
) -> int:
    """Postpone the automatic shutdown of a cluster, and show when it is due."""
    if not seconds:
        raise UsageError("--by is 0, which does not extend anything", hint="--by 2h")
    cluster = find(ec2, cloud, name)
    head = prepare_host(cluster, find_node(cluster, 0), cloud, ec2)
    check_reachable(cluster, cloud)
    done = run_there(head, ["sudo", "-n", EXTEND, str(seconds)])
    timers = parse_timers(done.stdout)
    if timers is None:
        reason = " ".join(done.stderr.split()) or "no answer"
        raise BakeError(
            f"the shutdown of cluster {cluster.name} was not postponed: {reason}",
            hint=f"{cluster_command('status', cluster.name)}; a cluster without time-outs needs no extension",
        )
    _tag_end(cluster, timers, ec2, terminal)
    if json_output:
        terminal.write_json({"switches": [asdict(timer) for timer in timers]})
    else:
        terminal.out.print(clusters.timers_text(cluster, timers, terminal.flags))
    return 0


def _tag_end(cluster: Cluster, timers: Sequence[ShutdownTimer], ec2: Ec2, terminal: Terminal) -> None:
    """Change the tag with the end of the cluster's lifetime, which ``ls`` shows; note if that is refused."""
    lifetime = next((timer for timer in timers if timer.name == "lifetime"), None)
    if lifetime is None or cluster.head is None:
        return
    try:
        ends = datetime.now(UTC) + timedelta(seconds=lifetime.left)
        ec2.tag([cluster.head.id], ((Tag.ENDS, moment(ends)),))
    except OverflowError:
        return
    except BakeError as error:
        terminal.notify(Note(f"It is postponed, but dask-bake ls shows the former end: {error.message}."))


@dataclass
class Ending:
    """Progress of a teardown: whether it has begun."""

    has_begun: bool = False

    def see(self, event: Event) -> None:
        """Record the event."""
        self.has_begun = self.has_begun or event == PhaseStarted(teardown.PHASE)


@contextmanager
def nothing_ended(again: str) -> Iterator[Ending]:
    """Report an interrupt, or a defect, before the teardown has begun: nothing was ended.

    Args:
        again: the command that ends the cluster.
    """
    ending = Ending()
    try:
        yield ending
    except (KeyboardInterrupt, Abort) as error:
        if ending.has_begun:
            raise
        raise CommandInterruptedError(
            "interrupted before anything was ended", hint=f"{again} ends it"
        ) from error
    except BakeError:
        raise
    except Exception as error:
        if ending.has_begun:
            raise
        failure = unexpected(error)
        raise LeftoverError(
            f"{failure.message}. Nothing was ended: what runs still costs money",
            hint=f"{again} may end it at a second try; else terminate its instances in EC2's console",
            defect=failure.defect,
        ) from error


def show_gone(gone: NoClusterError, terminal: Terminal, *, json_output: bool) -> int:
    """Report that the cluster to be ended is gone already."""
    if json_output:
        terminal.write_json(None)
    terminal.err.print(f"{gone.message[0].upper()}{gone.message[1:]}: there is nothing to end.")
    return 0


def down(
    cloud: Cloud,
    ec2: Ec2,
    terminal: Terminal,
    ending: Ending,
    *,
    name: str | None,
    asks: bool,
    saves: bool,
    json_output: bool,
) -> int:
    """Save the notebooks on its head, end the cluster, and report its nodes.

    Args:
        asks: whether to ask before a cluster is ended that was not named, or is not the caller's, and before
            notebooks are lost.
        saves: whether to save the notebooks.
    """

    def notify(event: Event) -> None:
        ending.see(event)
        terminal.notify(event)

    cluster = find(ec2, cloud, name)
    if asks and not _is_to_end(cluster, cloud, ec2, terminal, is_named=name is not None):
        return 0
    saved = save_before_end(cluster, cloud, ec2, terminal, asks=asks) if saves else None
    if saves and saved is None:
        return 0
    _keep_logs(cluster, cloud, ec2, terminal)
    connection = SshHeadConnection(local_keystore(cluster, cloud))
    with terminal.watching() as watch:
        take_down(cluster, ec2, connection, notify=notify, clock=time.monotonic, sleep=time.sleep)
        seconds = watch.elapsed
    if json_output:
        notebooks = None if saved is None else cluster_json.notebooks_document(saved)
        terminal.write_json({**cluster_json.cluster_document(cluster), "notebooks": notebooks})
    else:
        terminal.out.print(
            f"{cluster.name} is gone: {counted(len(cluster.nodes), 'node')} ended in {seconds:.1f} s."
        )
    return 0


def _keep_logs(cluster: Cluster, cloud: Cloud, ec2: Ec2, terminal: Terminal) -> None:
    """Keep what the nodes have logged, as far as it comes within seconds."""
    up = [node for node in cluster.known_nodes if node.is_up]
    if up and ended.keep(cluster, lambda: prepare_hosts(cluster, up, cloud, ec2), ec2, os.environ):
        logs = command_line("logs", cluster.name, "--ended")
        terminal.notify(Note(f"{logs} shows its logs, for seven days."))


def _is_to_end(cluster: Cluster, cloud: Cloud, ec2: Ec2, terminal: Terminal, *, is_named: bool) -> bool:
    """Return whether to end the cluster: one's own if it was named, any other if the user confirms it.

    Raises:
        UsageError: if the user has to confirm it, and stdin is not a terminal.
    """
    is_own = is_callers(cluster, cloud, ec2)
    if is_own and is_named:
        return True
    whose = "is yours" if is_own else f"belongs to {cluster.owner}" if cluster.owner else "has no known owner"
    if not sys.stdin.isatty():
        down = cluster_command("down", cluster.name)
        raise UsageError(
            f"cluster {cluster.name} {whose}, and there is no terminal to confirm its end on",
            hint=f"{down} ends it" if is_own else f"{down} --yes ends it all the same",
        )
    nodes = counted(len(cluster.nodes), "node")
    return confirm(
        terminal,
        f"Cluster {cluster.name} in {cluster.cloud} {cluster.region} has {nodes}, and {whose}.",
        question="End it?",
        declined="Nothing was ended.",
    )
