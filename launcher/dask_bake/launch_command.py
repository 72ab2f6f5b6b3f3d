"""``dask-bake launch``: look-ups, plan, then the launch or, with ``--dry-run``, the plan shown."""

import os
import platform
import secrets
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from dask_bake import documents, view
from dask_bake.clouds import caller_address
from dask_bake.cluster import launch
from dask_bake.ec2 import Ec2
from dask_bake.edges import WayIn
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Note
from dask_bake.models import Cloud, Image, Tag
from dask_bake.options import LaunchOptions
from dask_bake.plan import LaunchPlan, Surroundings, differences
from dask_bake.secrets_folder import KeyPair, Secrets, new_key, secrets_of
from dask_bake.terminal import Terminal
from dask_bake.way_in import SshWayIn


def run(
    options: LaunchOptions,
    cloud: Cloud,
    ec2: Ec2,
    terminal: Terminal,
    *,
    dry_run: bool,
    json_output: bool,
    make_way_in: Callable[[Secrets, KeyPair], WayIn] = SshWayIn,
) -> int:
    """Launches the cluster, and returns the exit code."""
    launch_id = secrets.token_hex(6)
    pair = new_key(f"dask-bake {options.name}")
    plan = LaunchPlan(options, look_around(options, cloud, ec2), launch_id, pair.public)
    for note in notes(plan):
        terminal.notify(Note(note))
    if dry_run:
        _show_plan(plan, terminal, json_output=json_output)
        return 0
    folder = secrets_of(cloud, options.name, launch_id, os.environ)
    with terminal.watching() as watch:
        cluster = launch(
            plan,
            ec2,
            make_way_in(folder, pair),
            notify=terminal.notify,
            clock=time.monotonic,
            sleep=time.sleep,
        )
        seconds = watch.elapsed
    registered = dict(terminal.last_seen.registered) if terminal.last_seen else {}
    if options.file is not None:
        write_metadata(options.file, documents.metadata_document(cluster, str(folder.key)), name=cluster.name)
    if json_output:
        document = documents.launch_document(
            cluster, registered=registered, seconds=seconds, calls=terminal.calls
        )
        terminal.write_json(view.as_json(document))
    else:
        count = sum(registered.values())
        terminal.out.print(
            view.ready_panel(cluster, registered=count, seconds=seconds, calls=len(terminal.calls))
        )
    return 0


def look_around(options: LaunchOptions, cloud: Cloud, ec2: Ec2) -> Surroundings:
    """What the plan needs to know; nothing is made, so that a wrong request fails here."""
    return Surroundings(
        cloud=cloud.name,
        region=cloud.region,
        image=choose_image(options, ec2),
        subnet=ec2.default_subnet(),
        vcpus=ec2.vcpus(options.type),
        caller=caller_address(cloud),
    )


def choose_image(options: LaunchOptions, ec2: Ec2) -> Image:
    """The image asked for, else the newest one that was baked here."""
    if options.ami is not None:
        image = ec2.image(options.ami)
        if image.state != "available":
            raise BakeError(f"the image {image.id} is {image.state}, not available")
        return image
    managed = ec2.find_images(owners=["self"], filters={f"tag:{Tag.MANAGED}": "true", "state": "available"})
    images = [image for image in managed if image.tag(Tag.DIGEST)]
    if not images:
        raise BakeError("there is no image to launch from", hint="dask-bake bake makes one")
    return images[0]


def notes(plan: LaunchPlan) -> list[str]:
    """What the user should know of this plan."""
    found = list(
        differences(
            plan.surroundings.image,
            python=platform.python_version(),
            distributed=metadata.version("distributed"),
        )
    )
    if plan.options.nprocs > plan.surroundings.vcpus:
        found.append(
            f"{plan.options.nprocs} worker processes share the {plan.surroundings.vcpus} virtual CPUs"
            f" of a {plan.options.type}."
        )
    return found


def write_metadata(path: Path, document: object, *, name: str) -> None:
    """Writes the cluster's metadata; the cluster stays, even where the file cannot be written."""
    import yaml

    try:
        path.write_text(yaml.safe_dump(document, sort_keys=False))
    except OSError as error:
        raise LeftoverError(
            f"{path} could not be written: {error.strerror}; the cluster {name} is up, and costs",
            hint=f"dask-bake status {name} --json shows it, dask-bake down {name} ends it",
        ) from error


def _show_plan(plan: LaunchPlan, terminal: Terminal, *, json_output: bool) -> None:
    if json_output:
        terminal.write_json(view.as_json(documents.plan_document(plan)))
    else:
        terminal.out.print(view.plan_view(plan), crop=False)
