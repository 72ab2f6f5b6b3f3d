"""``dask-bake launch``: look-ups, plan, then the launch or, with ``--dry-run``, the plan shown."""

import os
import platform
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from dask_bake import documents, fingerprint, view
from dask_bake.clouds import caller_address
from dask_bake.cluster import launch
from dask_bake.ec2 import Ec2
from dask_bake.edges import InstanceType, LookUps, WayIn
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Note
from dask_bake.fingerprint import Packages
from dask_bake.models import DEBIAN_ACCOUNT, Cloud, Image, Tag
from dask_bake.options import LaunchOptions
from dask_bake.plan import LaunchPlan, Surroundings
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
    for note in notes(plan, own_packages(), now=datetime.now(UTC)):
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


def look_around(options: LaunchOptions, cloud: Cloud, ec2: LookUps) -> Surroundings:
    """What the plan needs to know; nothing is made, so that a wrong request fails here."""
    instance_type = ec2.instance_type(options.type)
    image = choose_image(options, ec2, instance_type)
    fingerprint.check_architecture(image, instance_type, cloud.architectures)
    return Surroundings(
        cloud=cloud.name,
        region=cloud.region,
        image=image,
        subnet=ec2.default_subnet(),
        instance_type=instance_type,
        caller=caller_address(cloud),
        newest_base=newest_base(image, ec2),
    )


def choose_image(options: LaunchOptions, ec2: LookUps, instance_type: InstanceType) -> Image:
    """The image asked for, else the newest one that was baked here, was proved and runs on the type."""
    if options.ami is not None:
        image = ec2.image(options.ami)
        if image.state != "available":
            raise BakeError(f"the image {image.id} is {image.state}, not available")
        return image
    filters = {f"tag:{Tag.MANAGED}": "true", "state": "available"}
    return fingerprint.newest_proved(ec2.find_images(owners=["self"], filters=filters), instance_type)


def newest_base(image: Image, ec2: LookUps) -> str | None:
    """The newest of Debian's images like the image's base; ``None`` where that is not to be known."""
    names = fingerprint.base_names(image)
    if names is None:
        return None
    filters = {"name": names, "architecture": image.architecture, "state": "available"}
    try:
        found = ec2.find_images(owners=[DEBIAN_ACCOUNT], filters=filters)
    except BakeError:
        return None  # it is for a hint alone
    return found[0].name if found else None


def notes(plan: LaunchPlan, client: Packages, *, now: datetime) -> tuple[str, ...]:
    """What the user should know of this plan; versions that do not go together are an error."""
    options, around = plan.options, plan.surroundings
    vcpus = around.instance_type.vcpus
    crowd = f"{options.nprocs} worker processes share the {vcpus} virtual CPUs of a {options.type}."
    return (
        *fingerprint.mismatches(around.image, client, allow_mismatch=options.allow_mismatch),
        *fingerprint.doubts(around.image),
        *fingerprint.staleness(around.image, newest_base=around.newest_base, now=now),
        *((crowd,) if options.nprocs > vcpus else ()),
    )


def own_packages() -> Packages:
    """The versions that a client on this machine has: those of the environment that dask-bake is in."""
    return Packages(
        python=platform.python_version(),
        dask=_installed("dask"),
        distributed=_installed("distributed"),
        numpy=_installed("numpy"),
        pandas=_installed("pandas"),
    )


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


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
