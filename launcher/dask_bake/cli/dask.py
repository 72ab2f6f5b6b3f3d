"""``dask bake …``: dask-bake as a command of Dask's own command line, by the entry point ``dask_cli``."""

import click

from dask_bake.cli.main import main


@click.command(
    "bake",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def dask_command(words: tuple[str, ...]) -> None:
    """Launch clusters on EC2 from images that you bake, as dask-bake does."""
    main(words)
