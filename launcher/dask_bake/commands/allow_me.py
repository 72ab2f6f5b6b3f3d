"""``dask-bake allow-me``: SSH is opened to where this machine is now, and closed to where it was."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dask_bake.clusters.inventory import find
from dask_bake.clusters.ssh_access import SshChange, check_way, plan_change
from dask_bake.ec2.protocols import CloudEdge
from dask_bake.errors import BakeError, StoppedError
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.models.ec2 import Rule
from dask_bake.options.network_checks import check_widths
from dask_bake.view import clusters
from dask_bake.view.terminal import Terminal


def run(
    cloud: Cloud,
    ec2: CloudEdge,
    terminal: Terminal,
    caller: Callable[[], str],
    *,
    name: str | None,
    cidr: Sequence[str],
    allow_wide_cidr: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Opens SSH of the cluster's head to this machine, or to the blocks given, and closes it to others."""
    check_widths(cidr, allowed=allow_wide_cidr)
    cluster = find(ec2, cloud, name)
    check_way(cluster, has_cidr=bool(cidr))
    change = plan_change(cluster, tuple(cidr) or (caller(),))
    if not dry_run:
        with _changing(cluster):
            carry_out(change, ec2)
    if json_output:
        terminal.write_json(clusters.as_json(document(cluster, change, dry_run=dry_run)))
    else:
        terminal.out.print(sentence(cluster, change, dry_run=dry_run), soft_wrap=True)
    return 0


def carry_out(change: SshChange, ec2: CloudEdge) -> None:
    """Opens, then closes: nobody is shut out between the two."""
    if change.opened:
        ec2.authorize(change.group, change.opened)
    if change.closed:
        ec2.revoke(change.group, change.closed)


@contextmanager
def _changing(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    except (BakeError, KeyboardInterrupt) as error:
        both = f"SSH of {cluster.name} may be open to the new addresses already, and to the old ones still"
        again = f"{cluster.command('allow-me')}, with the same --cidr if it had one, does the rest"
        if isinstance(error, BakeError):
            raise BakeError(f"{error.message}; {both}", hint=f"{error.hint or 'then'}; {again}") from error
        raise StoppedError(f"interrupted; {both}", hint=again) from error


def document(cluster: Cluster, change: SshChange, *, dry_run: bool) -> dict[str, Any]:
    """What was opened and closed, for a script."""
    return {
        "name": cluster.name,
        "group": change.group.id,
        "opened": _sources(change.opened),
        "closed": _sources(change.closed),
        "dry_run": dry_run,
    }


def sentence(cluster: Cluster, change: SshChange, *, dry_run: bool) -> str:
    """The same in words."""
    would, opened, closed = ("would be ", "opened", "closed") if dry_run else ("is ", "open", "closed")
    parts = [
        f"{would}{verb} to {', '.join(_sources(rules))}"
        for verb, rules in ((opened, change.opened), (closed, change.closed))
        if rules
    ]
    if not parts:
        return f"SSH of {cluster.name} is open to this already; nothing was changed."
    return f"SSH of {cluster.name} {' and '.join(parts)}."


def _sources(rules: Sequence[Rule]) -> list[str]:
    return [rule.source for rule in rules]
