"""Commands of ``dask-bake local`` and their options."""

import click

from dask_bake.cli.options import json_option
from dask_bake.cli.session import open_terminal
from dask_bake.errors import UsageError


@click.group("local")
def local_group() -> None:
    """Manage the local cloud: up, down, status, doctor, env, fault."""


@local_group.command("up")
@json_option
def local_up(*, json_output: bool) -> int:
    """Start the local cloud."""
    from dask_bake.commands import local

    return local.up(open_terminal(), json_output=json_output)


@local_group.command("down")
def local_down() -> int:
    """Stop the local cloud and its instances; its images are kept."""
    from dask_bake.commands import local

    return local.down(open_terminal())


@local_group.command("status")
@json_option
def local_status(*, json_output: bool) -> int:
    """Show whether and where the local cloud is running."""
    from dask_bake.commands import local

    return local.status(open_terminal(), json_output=json_output)


@local_group.command("doctor")
@json_option
def local_doctor(*, json_output: bool) -> int:
    """Show missing requirements, and leftovers of a killed server."""
    from dask_bake.commands import local

    return local.doctor(open_terminal(), json_output=json_output)


@local_group.command("env")
@click.option(
    "--region",
    "--region-name",
    "region",
    metavar="REGION",
    help="AWS region. [default: us-east-1]",
)
def local_env(region: str | None) -> int:
    """Print environment variables for other AWS tools."""
    from dask_bake.commands import local

    return local.env(open_terminal(), region=region)


@local_group.group("fault")
def local_fault() -> None:
    """Make requests and instances fail, as on EC2: add, ls, clear."""


@local_fault.command("add")
@click.argument("kind", metavar="KIND")
@click.option("--action", metavar="NAME", help="Operations to match; a pattern. [default: all of AWS's]")
@click.option(
    "--where", multiple=True, metavar="NAME=VALUE", help="Request parameter to match; both are patterns."
)
@click.option("--skip", metavar="N", help="Requests that succeed first. [default: 0]")
@click.option("--times", metavar="N", help="Requests that fail then; 0 for all. [default: 1]")
@click.option("--chance", metavar="P", help="Probability that such a request fails. [default: 1]")
@click.option("--seed", metavar="N", help="Seed of the random numbers for --chance.")
@click.option("--code", metavar="CODE", help="EC2's code of the error or the state reason.")
@click.option("--status", metavar="N", help="HTTP status of the response.")
@click.option("--message", metavar="TEXT", help="Message of the error.")
@click.option("--seconds", metavar="S", help="Delay, or duration of the fault.")
@click.option("--notice", metavar="S", help="Seconds from a spot notice to the end. [default: 120]")
@click.option("--count", metavar="N", help="Instances that are affected, or that capacity is left for.")
@click.option("--instance", metavar="ID", help="Running instance that the fault applies to at once.")
def local_fault_add(kind: str, where: tuple[str, ...], **options: str | None) -> int:
    """Add a fault rule.

    \b
    KIND for requests: error, delay, drop-before, drop-after, truncate, html
    KIND for launches: capacity, pending, unseen
    KIND for launches and running instances: terminated, unhealthy, spot-notice, cut
    """
    from dask_bake.commands import local

    given = {name: value for name, value in options.items() if value is not None}
    for condition in where:
        if "=" not in condition:
            raise UsageError(f"--where is {condition}, which has no value", hint="--where NAME=VALUE")
    conditions = {"where": [part.partition("=")[::2] for part in where]} if where else {}
    return local.add_fault(open_terminal(), {"kind": kind, **conditions, **given})


@local_fault.command("ls")
@json_option
def local_fault_ls(*, json_output: bool) -> int:
    """List the fault rules, and how often each was applied."""
    from dask_bake.commands import local

    return local.list_faults(open_terminal(), json_output=json_output)


@local_fault.command("clear")
def local_fault_clear() -> int:
    """Remove all fault rules."""
    from dask_bake.commands import local

    return local.clear_faults(open_terminal())
