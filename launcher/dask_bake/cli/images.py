"""Commands of ``dask-bake images`` and their options."""

from dataclasses import asdict

import click

from dask_bake.cli.options import CloudFlags, cloud_options, complete_image, dry_run_option, json_option
from dask_bake.cli.session import open_cloud

image_argument = click.argument("image", required=False, metavar="[IMAGE]", shell_complete=complete_image)


@click.group("images", invoke_without_command=True)
@cloud_options
@json_option
@click.pass_context
def images_group(context: click.Context, cloud_flags: CloudFlags, *, json_output: bool) -> int | None:
    """List images; show, diff, prune, remove, copy, share, sbom."""
    if context.invoked_subcommand is not None:
        # Lists, since these options may be repeated.
        given: dict[str, object] = {
            name: [value] for name, value in asdict(cloud_flags).items() if value is not None
        }
        if json_output:
            given["json_output"] = True
        context.default_map = {context.invoked_subcommand: given}
        return None
    from dask_bake.commands import images

    terminal, chosen = open_cloud(cloud_flags)
    return images.list_all(chosen, terminal, json_output=json_output)


@images_group.command("show")
@image_argument
@cloud_options
@json_option
def images_show(image: str | None, cloud_flags: CloudFlags, *, json_output: bool) -> int:
    """Show one image, with its inputs, files and packages."""
    from dask_bake.commands import images

    terminal, chosen = open_cloud(cloud_flags)
    return images.show(chosen, terminal, reference=image, json_output=json_output)


@images_group.command("diff")
@click.argument("before", metavar="BEFORE", shell_complete=complete_image)
@click.argument("after", metavar="AFTER", shell_complete=complete_image)
@cloud_options
@json_option
def images_diff(before: str, after: str, cloud_flags: CloudFlags, *, json_output: bool) -> int:
    """Show the differences between two images: inputs, files, packages."""
    from dask_bake.commands import images

    terminal, chosen = open_cloud(cloud_flags)
    return images.diff(chosen, terminal, before=before, after=after, json_output=json_output)


@images_group.command("prune")
@click.option(
    "--keep", type=int, required=True, metavar="N", help="Number of images to keep of each environment."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@dry_run_option
@cloud_options
@json_option
def images_prune(cloud_flags: CloudFlags, *, keep: int, yes: bool, dry_run: bool, json_output: bool) -> int:
    """Remove old images and their snapshots, except images in use."""
    from dask_bake.commands import images

    images.check_prune(keep=keep, asks=not (yes or dry_run))
    terminal, chosen = open_cloud(cloud_flags)
    return images.prune(chosen, terminal, keep=keep, dry_run=dry_run, asks=not yes, json_output=json_output)


@images_group.command("remove")
@click.argument("given", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete_image)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@dry_run_option
@cloud_options
@json_option
def images_remove(
    cloud_flags: CloudFlags,
    *,
    given: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Remove these images and their snapshots, except images in use."""
    from dask_bake.commands import images
    from dask_bake.commands.confirm import check_can_ask

    check_can_ask(asks=not (yes or dry_run))
    terminal, chosen = open_cloud(cloud_flags)
    return images.remove(
        chosen, terminal, references=given, dry_run=dry_run, asks=not yes, json_output=json_output
    )


@images_group.command("copy")
@image_argument
@click.option(
    "--to-region",
    "regions",
    multiple=True,
    required=True,
    metavar="REGION",
    help="Region to copy to; may be repeated.",
)
@dry_run_option
@cloud_options
@json_option
def images_copy(
    image: str | None,
    cloud_flags: CloudFlags,
    *,
    regions: tuple[str, ...],
    dry_run: bool,
    json_output: bool,
) -> int:
    """Copy an image to other regions, encrypted."""
    from dask_bake.commands import images

    terminal, chosen = open_cloud(cloud_flags)
    return images.copy(
        chosen, terminal, reference=image, regions=regions, dry_run=dry_run, json_output=json_output
    )


@images_group.command("share")
@image_argument
@click.option(
    "--with",
    "accounts",
    multiple=True,
    required=True,
    metavar="ACCOUNT",
    help="AWS account to share with; may be repeated.",
)
@click.option("--stop", is_flag=True, help="Stop sharing with these accounts.")
@dry_run_option
@cloud_options
@json_option
def images_share(
    image: str | None,
    cloud_flags: CloudFlags,
    *,
    accounts: tuple[str, ...],
    stop: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Share an image with other AWS accounts."""
    from dask_bake.images.share import check_accounts

    checked = check_accounts(accounts)
    from dask_bake.commands import images

    terminal, chosen = open_cloud(cloud_flags)
    return images.share(
        chosen,
        terminal,
        reference=image,
        accounts=checked,
        stop=stop,
        dry_run=dry_run,
        json_output=json_output,
    )


@images_group.command("sbom")
@image_argument
@cloud_options
def images_sbom(image: str | None, cloud_flags: CloudFlags) -> int:
    """Print an SBOM of an image, as CycloneDX JSON."""
    from dask_bake.commands import images

    terminal, chosen = open_cloud(cloud_flags)
    return images.sbom(chosen, terminal, reference=image)
