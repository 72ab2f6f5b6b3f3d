"""Options of ``dask-bake config``, ``iam-policy`` and ``completion``."""

import click

from dask_bake.cli.options import json_option
from dask_bake.cli.session import configuration, open_terminal
from dask_bake.errors import UsageError
from dask_bake.iam.grants import ACCOUNT, Extra, Purpose
from dask_bake.iam.role import RoleExtra
from dask_bake.options.settings_table import SETTINGS

SHELLS = ("bash", "zsh", "fish")
ALL = "all"


def _settings(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [key for key in SETTINGS if key.startswith(begun)]


@click.command("config")
@click.argument("name", required=False, shell_complete=_settings)
@json_option
def config_command(name: str | None, *, json_output: bool) -> int:
    """Show the settings, and where each comes from."""
    from dask_bake.commands import config

    return config.run(configuration(), open_terminal(), name=name, json_output=json_output)


@click.command("iam-policy")
@click.option(
    "--for",
    "purposes",
    type=click.Choice([*map(str, Purpose), ALL]),
    multiple=True,
    default=(str(Purpose.LAUNCH),),
    metavar="PURPOSE",
    help=f"{', '.join(Purpose)} or {ALL}; may be repeated. [default: launch]",
)
@click.option(
    "--with",
    "extras",
    type=click.Choice([*map(str, Extra), *map(str, RoleExtra)]),
    multiple=True,
    metavar="OPTION",
    help=f"Options that need more permissions: {', '.join(Extra)}; may be repeated."
    f" {' or '.join(RoleExtra)}: the policy of the nodes' role instead, for tasks that use these buckets.",
)
@click.option("--account", metavar="NUMBER", help="Your AWS account. [default: the placeholder ACCOUNT]")
@click.argument("buckets", nargs=-1, metavar="[BUCKET]…")
def iam_policy_command(
    purposes: tuple[str, ...], extras: tuple[str, ...], account: str | None, buckets: tuple[str, ...]
) -> int:
    """Print a least-privilege IAM policy for dask-bake, or for the nodes' role."""
    from dask_bake.events import Note
    from dask_bake.iam import policy, role
    from dask_bake.images.share import check_accounts

    if of_role := tuple(RoleExtra(each) for each in extras if each in tuple(RoleExtra)):
        _check_role(extras, of_role, buckets)
        open_terminal().write(role.render_role_policy(of_role, buckets))
        return 0
    if buckets:
        raise UsageError(f"unexpected argument {buckets[0]}", hint=f"--with {RoleExtra.S3_READ} {buckets[0]}")
    if account is not None:
        check_accounts([account])
    chosen = tuple(Purpose) if ALL in purposes else tuple(map(Purpose, purposes))
    text, terminal = policy.render((*chosen, *map(Extra, extras)), account or ACCOUNT), open_terminal()
    terminal.write(text)
    for note in policy.notes(text):
        terminal.notify(Note(note))
    return 0


def _check_role(extras: tuple[str, ...], of_role: tuple[RoleExtra, ...], buckets: tuple[str, ...]) -> None:
    if other := [each for each in extras if each not in of_role]:
        raise UsageError(
            f"--with {other[0]} is for whoever launches, and --with {of_role[0]} for the nodes' role",
            hint="print one policy at a time",
        )
    if not buckets:
        raise UsageError(
            f"--with {of_role[0]} requires the name of a bucket",
            hint=f"dask-bake iam-policy --with {of_role[0]} my-bucket",
        )


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> int:
    """Print the completion script for a shell.

    \b
      bash   dask-bake completion bash > ~/.local/share/bash-completion/completions/dask-bake
      zsh    dask-bake completion zsh > a folder of $fpath/_dask-bake
      fish   dask-bake completion fish > ~/.config/fish/completions/dask-bake.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - SHELLS are click's
    script = kind(context.find_root().command, {}, "dask-bake", "_DASK_BAKE_COMPLETE").source()
    click.echo(script.strip())
    return 0
