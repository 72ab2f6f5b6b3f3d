"""``dask-bake allow-me``: allow SSH from this machine's current address, and revoke its earlier ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dask_bake.clusters.inventory import find
from dask_bake.clusters.ssh_access import SshChange, check_can_allow, plan_change
from dask_bake.ec2.protocols import ClusterApi
from dask_bake.errors import BakeError, CommandInterruptedError
from dask_bake.hints import cluster_command
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.models.ec2 import Rule
from dask_bake.options.network_checks import check_widths
from dask_bake.view.terminal import Terminal


@dataclass(frozen=True)
class AllowMeOptions:
    """Options of ``dask-bake allow-me``; without ``cidr`` this machine's address is allowed."""

    name: str | None = None
    cidr: tuple[str, ...] = ()
    allow_wide_cidr: bool = False
    dry_run: bool = False
    json_output: bool = False


def run(
    options: AllowMeOptions, cloud: Cloud, ec2: ClusterApi, terminal: Terminal, caller: Callable[[], str]
) -> int:
    """Allow SSH to the cluster's head from the caller's address or the blocks given, and only from there."""
    check_widths(options.cidr, allow_wide=options.allow_wide_cidr)
    cluster = find(ec2, cloud, options.name)
    check_can_allow(cluster, has_cidr=bool(options.cidr))
    change = plan_change(cluster, options.cidr or (caller(),))
    if not options.dry_run:
        with _reporting_failure(cluster):
            carry_out(change, ec2)
    if options.json_output:
        terminal.write_json(document(cluster, change, dry_run=options.dry_run))
    else:
        terminal.out.print(sentence(cluster, change, dry_run=options.dry_run), soft_wrap=True)
    return 0


def carry_out(change: SshChange, ec2: ClusterApi) -> None:
    """Authorize the new rules, then revoke the old ones, so that access never lapses."""
    if change.opened:
        ec2.authorize(change.group, change.opened)
    if change.closed:
        ec2.revoke(change.group, change.closed)


@contextmanager
def _reporting_failure(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    except (BakeError, KeyboardInterrupt) as error:
        both = f"SSH to {cluster.name} may be open to both the new and the old addresses"
        command = cluster_command("allow-me", cluster.name)
        again = f"{command}, with the same --cidr if you gave one, completes the change"
        if isinstance(error, BakeError):
            raise BakeError(f"{error.message}; {both}", hint=f"{error.hint or 'then'}; {again}") from error
        raise CommandInterruptedError(f"interrupted; {both}", hint=again) from error


def document(cluster: Cluster, change: SshChange, *, dry_run: bool) -> dict[str, Any]:
    """Return the addresses that were allowed and revoked, for ``--json``."""
    return {
        "name": cluster.name,
        "group": change.group.id,
        "opened": _sources(change.opened),
        "closed": _sources(change.closed),
        "dry_run": dry_run,
    }


def sentence(cluster: Cluster, change: SshChange, *, dry_run: bool) -> str:
    """Return the change as a sentence."""
    would, opened, closed = ("would be ", "opened", "closed") if dry_run else ("is ", "open", "closed")
    parts = [
        f"{would}{verb} to {', '.join(_sources(rules))}"
        for verb, rules in ((opened, change.opened), (closed, change.closed))
        if rules
    ]
    if not parts:
        return f"SSH to {cluster.name} is already open to this address; nothing was changed."
    return f"SSH to {cluster.name} {' and '.join(parts)}."


def _sources(rules: Sequence[Rule]) -> list[str]:
    return [rule.source for rule in rules]
