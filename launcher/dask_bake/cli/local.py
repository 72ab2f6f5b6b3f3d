"""``dask-bake local``: its commands and their options."""

import click

from dask_bake.cli.options import json_option
from dask_bake.cli.session import open_terminal
from dask_bake.errors import UsageError


@click.group("local")
def local_group() -> None:
    """The EC2 on this machine: up, down, status, doctor, env, fault."""


@local_group.command("up")
@json_option
def local_up(*, json_output: bool) -> int:
    """Start the local cloud."""
    from dask_bake.commands import local

    return local.up(open_terminal(), json_output=json_output)


@local_group.command("down")
def local_down() -> int:
    """End the local cloud and its instances; its images stay."""
    from dask_bake.commands import local

    return local.down(open_terminal())


@local_group.command("status")
@json_option
def local_status(*, json_output: bool) -> int:
    """Say whether and where the local cloud runs."""
    from dask_bake.commands import local

    return local.status(open_terminal(), json_output=json_output)


@local_group.command("doctor")
@json_option
def local_doctor(*, json_output: bool) -> int:
    """Say what is missing on this machine, or left over."""
    from dask_bake.commands import local

    return local.doctor(open_terminal(), json_output=json_output)


@local_group.command("env")
@click.option(
    "--region",
    "--region-name",
    "region",
    metavar="REGION",
    help="AWS region to name. [default: us-east-1]",
)
def local_env(region: str | None) -> int:
    """Print the variables with which other AWS tools use it."""
    from dask_bake.commands import local

    return local.env(open_terminal(), region=region)


@local_group.group("fault")
def local_fault() -> None:
    """Have it fail, as EC2 may: add, ls, clear."""


@local_fault.command("add")
@click.argument("kind", metavar="KIND")
@click.option("--action", metavar="NAME", help="Operation; a pattern. [default: all of AWS's]")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="Parameter of it; patterns.")
@click.option("--skip", metavar="N", help="Requests that go well first.")
@click.option("--times", metavar="N", help="Requests that then do not; 0: all. [default: 1]")
@click.option("--chance", metavar="P", help="Probability for each.")
@click.option("--seed", metavar="N", help="Seed of that.")
@click.option("--code", metavar="CODE", help="EC2's code, of an error or a state.")
@click.option("--status", metavar="N", help="HTTP's status.")
@click.option("--message", metavar="TEXT", help="What the error says.")
@click.option("--seconds", metavar="S", help="How much later, or how long.")
@click.option("--notice", metavar="S", help="From a spot notice to the end. [default: 120]")
@click.option("--count", metavar="N", help="Instances that are struck, or to be had.")
@click.option("--instance", metavar="ID", help="An instance that runs, struck now.")
def local_fault_add(kind: str, where: tuple[str, ...], **options: str | None) -> int:
    """Add a rule: what goes wrong, and when.

    \b
    error, delay, drop-before, drop-after, truncate, html: of requests
    capacity, pending, unseen: of launches
    terminated, unhealthy, spot-notice, cut: of launches, and of instances that run
    """
    from dask_bake.commands import local

    said = {name: value for name, value in options.items() if value is not None}
    for condition in where:
        if "=" not in condition:
            raise UsageError(f"--where is {condition}, which has no value", hint="--where NAME=VALUE")
    conditions = {"where": [part.partition("=")[::2] for part in where]} if where else {}
    return local.add_fault(open_terminal(), {"kind": kind, **conditions, **said})


@local_fault.command("ls")
@json_option
def local_fault_ls(*, json_output: bool) -> int:
    """List the rules, and how often each has struck."""
    from dask_bake.commands import local

    return local.list_faults(open_terminal(), json_output=json_output)


@local_fault.command("clear")
def local_fault_clear() -> int:
    """Remove all rules."""
    from dask_bake.commands import local

    return local.clear_faults(open_terminal())
