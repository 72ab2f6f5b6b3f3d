"""Condition of a cluster, the same for every command: starting, up, degraded or ended, and why."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dask_bake.hints import cluster_command, command_line
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.resources import GRACE_PERIOD, are_left_over, creation_time
from dask_bake.options.values import CLUSTER_NAME, OF_A_BAKE

LAUNCH_ID = re.compile(r"[A-Za-z0-9]{1,64}")
POWERED_OFF = "Client.InstanceInitiatedShutdown"
"""EC2's state reason of an instance that powered itself off."""
LISTED = timedelta(hours=1)
"""Time for which EC2 lists a terminated instance."""


class State(StrEnum):
    """The condition of a cluster in one word."""

    STARTING = "starting"
    UP = "up"
    DEGRADED = "degraded"
    ENDED = "ended"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Condition:
    """The condition of a cluster.

    Args:
        text: continues a sentence that begins with the cluster; "" for a cluster that is up.
        brief: the same in a few words, for a list.
        hint: the command that helps.
        may_be_cleared: whether nothing of the cluster can be alive or starting, so that a launch may
            remove what is left.
    """

    state: State
    text: str = ""
    brief: str = ""
    hint: str = ""
    may_be_cleared: bool = False


def is_valid(cluster: Cluster) -> bool:
    """Return whether a launch can have given the cluster its name and its id: both become file names."""
    return bool(CLUSTER_NAME.fullmatch(cluster.name) and LAUNCH_ID.fullmatch(cluster.launch_id))


def condition(cluster: Cluster, now: datetime) -> Condition:
    """Return the condition of the cluster."""
    if not is_valid(cluster):
        return Condition(
            State.FOREIGN,
            "was not launched by dask-bake, although it has its tags",
            "foreign",
            "if it is yours, delete it in EC2's console, or by aws ec2",
        )
    parts = "; ".join(cluster.foreign_parts[:3])
    found = _condition(cluster, now)
    if not parts or (found.state is not State.UP and cluster.known_nodes):
        return found
    down = cluster_command("down", cluster.name)
    return Condition(
        State.FOREIGN,
        f"has parts that this version of dask-bake does not know: {parts}",
        "foreign parts",
        f"a newer dask-bake may know them; {down} ends all of it",
    )


def _condition(cluster: Cluster, now: datetime) -> Condition:
    if not any(node.is_live for node in cluster.nodes):
        return _without_nodes(cluster, now)
    down = cluster_command("down", cluster.name)
    if OF_A_BAKE.fullmatch(cluster.name):
        return Condition(State.UP)
    if cluster.head is None or not cluster.head.is_up:
        state = f"it is {cluster.head.state}" if cluster.head is not None else _gone(cluster.gone_head)
        return Condition(
            State.DEGRADED,
            f"has no head node{f' ({state})' if state else ''}, so that nothing can use its workers",
            "no head",
            f"{down} ends it; {cluster_command('launch', cluster.name)} then starts it again",
        )
    return _of_workers(cluster, now)


def _of_workers(cluster: Cluster, now: datetime) -> Condition:
    there, wanted = sum(node.is_up for node in cluster.workers), cluster.size - 1
    ends = sorted({_gone(node) for node in cluster.gone if node.role is Role.WORKER} - {""})
    missing = wanted - there
    if missing <= 0:
        return Condition(State.UP)
    if not there and not cluster.gone and _is_young(cluster, now):
        hint = f"{command_line('status', cluster.name)} shows it"
        return Condition(State.STARTING, "is being launched: it has no worker nodes yet", "starting", hint)
    nodes = "worker node" if wanted == 1 else "worker nodes"
    return Condition(
        State.DEGRADED,
        f"has {there} of its {wanted} {nodes}" + (f" ({'; '.join(ends[:3])})" if ends else ""),
        f"{there} of {wanted} {nodes}",
        f"it works with those; {cluster_command('down', cluster.name)} ends it",
    )


def _without_nodes(cluster: Cluster, now: datetime) -> Condition:
    name = cluster.name
    if cluster.nodes:
        hint = f"{command_line('status', name)} shows whether it is gone"
        return Condition(State.ENDED, "is being ended: its nodes are shutting down", "ending", hint)
    is_old = are_left_over(cluster.groups, now)
    has_powered_off = cluster.gone_head is not None and cluster.gone_head.state_reason.startswith(POWERED_OFF)
    if OF_A_BAKE.fullmatch(name) or not (is_old or has_powered_off or cluster.end_reason):
        return Condition(
            State.STARTING,
            "has no nodes, only its security group: its launch is starting or was interrupted",
            "starting",
            f"{command_line('status', name)} shows it, {command_line('down', name)} ends it",
        )
    text, when = _end(cluster, now), _ended_at(cluster)
    return Condition(
        State.ENDED,
        text,
        f"ended {when:%H:%M} UTC" if when is not None else "ended",
        f"{cluster_command('launch', name)} starts it again, {command_line('down', name)} clears it",
        may_be_cleared=is_old or bool(cluster.end_reason),
    )


def _end(cluster: Cluster, now: datetime) -> str:
    """Return when and why a cluster without nodes ended, as far as EC2 still has it."""
    if not cluster.gone:
        begun = [each for group in cluster.groups if (each := creation_time(group.tags)) is not None]
        if any(now - each < LISTED for each in begun):
            return "never had a node: its launch was interrupted"
        return "shut itself down, more than an hour ago"
    when, head = _ended_at(cluster), cluster.gone_head
    at = f" at {when:%Y-%m-%d %H:%M} UTC" if when is not None else ""
    if cluster.end_reason:
        return f"shut itself down{at}: {cluster.end_reason}"
    reason = head.state_reason if head is not None else ""
    if reason.startswith(POWERED_OFF):
        return f"shut itself down{at}"
    return f"ended{at}{f' ({reason})' if reason else ''}"


def _ended_at(cluster: Cluster) -> datetime | None:
    return max((node.ended for node in cluster.gone if node.ended is not None), default=None)


def _gone(node: Node | None) -> str:
    """Return when and why EC2 says that a node ended."""
    if node is None:
        return ""
    at = f" at {node.ended:%H:%M} UTC" if node.ended is not None else ""
    reason = node.trouble or node.state_reason
    return f"{node.id} ended{at}" + (f": {reason}" if reason else "")


def _is_young(cluster: Cluster, now: datetime) -> bool:
    begun = max((node.launched for node in cluster.nodes), default=None)
    return begun is not None and now - begun < GRACE_PERIOD
