"""``dask-bake scale``: give a cluster another number of nodes, or show what that would do."""

import sys
import time
from dataclasses import dataclass

from dask_bake.commands.confirm import confirm
from dask_bake.ec2.api import Ec2
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.scaling.plan import Direction
from dask_bake.scaling.scale import (
    TIMEOUT,
    MakeConnection,
    MakeRetirement,
    Scaling,
    ssh_connection,
    ssh_retirement,
    yes_command,
)
from dask_bake.ssh.connect import is_callers
from dask_bake.view import scaling
from dask_bake.view.terminal import Terminal


@dataclass(frozen=True)
class ScaleOptions:
    """Options of the command.

    Args:
        asks: whether to ask before somebody else's cluster is changed.
    """

    count: int
    name: str | None = None
    timeout: int = TIMEOUT
    asks: bool = True
    dry_run: bool = False
    json_output: bool = False


def run(
    options: ScaleOptions,
    cloud: Cloud,
    ec2: Ec2,
    terminal: Terminal,
    *,
    make_connection: MakeConnection = ssh_connection,
    make_retirement: MakeRetirement = ssh_retirement,
) -> int:
    """Change the size of the cluster, or with ``dry_run`` show the plan; return the exit code."""
    work = Scaling(
        options.name,
        options.count,
        cloud,
        ec2,
        terminal.notify,
        timeout=options.timeout,
        make_connection=make_connection,
        make_retirement=make_retirement,
    )
    if options.dry_run:
        plan = work.look()
        growth = work.growth(plan)
        if options.json_output:
            terminal.write_json(scaling.plan_document(plan, growth))
        else:
            terminal.out.print(scaling.plan_view(plan, growth))
        return 0
    if options.asks and not _may_change(work.find(), options.count, cloud, ec2, terminal):
        return 0
    began = time.monotonic()
    with terminal.watching():
        result = work.run()
    seconds = time.monotonic() - began
    if options.json_output:
        registered = dict(terminal.last_seen.registered) if terminal.last_seen else {}
        is_counted = result.plan.direction is Direction.UP and result.cluster.has_dask
        terminal.write_json(
            scaling.result_document(
                result, registered if is_counted else None, seconds=seconds, calls=terminal.calls
            )
        )
    else:
        terminal.out.print(scaling.result_text(result, seconds))
    return 0


def _may_change(cluster: Cluster, wanted: int, cloud: Cloud, ec2: Ec2, terminal: Terminal) -> bool:
    """Return whether the cluster is the caller's, or the user confirms that it is meant.

    Raises:
        UsageError: if the user has to confirm it, and stdin is not a terminal.
    """
    if is_callers(cluster, cloud, ec2):
        return True
    whose = f"belongs to {cluster.owner}" if cluster.owner else "has no known owner"
    if not sys.stdin.isatty():
        raise UsageError(
            f"cluster {cluster.name} {whose}, and there is no terminal to confirm a change of its size on",
            hint=f"{yes_command(cluster, wanted)} changes it all the same",
        )
    return confirm(
        terminal,
        f"Cluster {cluster.name} in {cluster.cloud} {cluster.region} {whose}.",
        question="Change its size?",
        declined="Nothing was changed.",
    )
