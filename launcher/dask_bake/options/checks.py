"""What no launch can be: options wrong in themselves, or together, refused before anything is asked."""

import re
from dataclasses import fields
from math import ceil
from pathlib import Path

from dask_bake.errors import UsageError
from dask_bake.options.dask_checks import check_dask
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.network_checks import check_network
from dask_bake.options.tag_checks import check_tags
from dask_bake.options.text_files import read_text
from dask_bake.options.values import check_name, flag_of, line, shortened, shown

VOLUME_TYPES = ("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard")
ROOT_VOLUME_TYPES = ("gp2", "gp3", "standard")
"""io1 and io2 need a number of IOPS; st1 and sc1 cannot be root volumes (EBS user guide, volume types)."""
LARGEST_VOLUME = {"gp2": 16_384, "gp3": 65_536, "standard": 1_024}
"""In GiB (EBS user guide, volume types)."""
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
PROFILE = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}")
"""How IAM may call an instance profile (API reference, InstanceProfile)."""


def check(options: LaunchOptions) -> None:
    """Raises a ``UsageError`` for the first thing that cannot be."""
    rules = (_lines, _numbers, _names, _types, check_dask, _disk, check_tags, _capacity, check_network)
    for rule in (*rules, _access, _files):
        rule(options)


def _lines(options: LaunchOptions) -> None:
    """Each text is one line; of variables and tags their own rules say more."""
    for field in fields(options):
        value = getattr(options, field.name)
        for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            if isinstance(text, str) and text and field.name != "name":
                line(text, flag_of(field.name))


def _numbers(options: LaunchOptions) -> None:
    least = (
        ("count", 2, "counts the head", "--count 2 is a head and one worker"),
        ("nprocs", 1, "is the worker processes of a node", "--nprocs 8 gives each worker node 8 processes"),
        ("nthreads", 1, "is the threads of a worker process", "leave it out for vCPUs / nprocs"),
        ("timeout", 1, "is in seconds", "the default is 300"),
        ("min_workers", 1, "is worker processes", "leave it out to have all or none"),
        ("volume_size", 1, "is in GiB", "leave it out for the image's own size"),
    )
    for name, minimum, what, hint in least:
        value = getattr(options, name)
        if value is not None and value < minimum:
            raise UsageError(f"{flag_of(name)} {what}: at least {minimum}, not {value}", hint=hint)
    rate = options.volume_initialization_rate
    if rate is not None and not 100 <= rate <= 300:
        raise UsageError(
            f"--volume-initialization-rate is in MiB/s: 100 to 300, not {rate}",
            hint="leave it out: then EBS loads what is read, and charges nothing for that",
        )


def _names(options: LaunchOptions) -> None:
    check_name(options.name)
    if options.username is not None and not USER.fullmatch(options.username):
        raise UsageError(
            f"--username is {shown(options.username)}, which cannot be a user's name",
            hint="use lower-case letters, digits, '-' and '_', at most 32 of them",
        )
    if options.username == "root":
        raise UsageError("--username is root, and root may not log in", hint="take a user who may use sudo")
    if options.username == "dask":
        raise UsageError("--username is dask, which is whom the workers run as", hint="take another name")
    if options.iaminstance_name is not None and not PROFILE.fullmatch(options.iaminstance_name):
        raise UsageError(
            f"--iaminstance-name is {shown(options.iaminstance_name)}, which cannot be a profile's name",
            hint="the name alone, without what stands before it in an ARN",
        )


def _types(options: LaunchOptions) -> None:
    for flag, names in (("--type", options.type), ("--head-type", options.head_type)):
        for name in names:
            if not INSTANCE_TYPE.fullmatch(name):
                raise UsageError(
                    f"{flag} is {shown(name)}, which is no instance type",
                    hint="such as m6i.2xlarge; several with commas between them",
                )


def _disk(options: LaunchOptions) -> None:
    if options.volume_type not in VOLUME_TYPES:
        raise UsageError(
            f"--volume-type is {shown(options.volume_type)}", hint=f"it can be {', '.join(ROOT_VOLUME_TYPES)}"
        )
    if options.volume_type not in ROOT_VOLUME_TYPES:
        raise UsageError(
            f"--volume-type {options.volume_type} cannot be a node's root volume as it is",
            hint=f"it can be {', '.join(ROOT_VOLUME_TYPES)}",
        )
    kind, largest = options.volume_type, LARGEST_VOLUME[options.volume_type]
    if options.volume_size is not None and options.volume_size > largest:
        raise UsageError(
            f"--volume-size is in GiB: at most {largest} for {kind}, not {options.volume_size}",
            hint="EBS has no larger volumes" if kind == "gp3" else "--volume-type gp3 can be larger",
        )


def _capacity(options: LaunchOptions) -> None:
    if options.spot and options.spot_with_fallback:
        raise UsageError(
            "--spot and --spot-with-fallback differ in what happens without spot capacity",
            hint="--spot then fails, --spot-with-fallback takes on-demand instances: give one",
        )
    if options.min_workers is None:
        return
    if options.nprocs is not None and options.min_workers > (options.count - 1) * options.nprocs:
        raise UsageError(
            f"--min-workers is {options.min_workers}, and --count {options.count}"
            f" with --nprocs {options.nprocs} makes {(options.count - 1) * options.nprocs}",
            hint=f"--count {ceil(options.min_workers / options.nprocs) + 1} makes enough",
        )


def _access(options: LaunchOptions) -> None:
    if options.keypair is not None:
        _check_key(options.keypair)
    if options.keyname is not None and options.keypair is None and not options.provision:
        raise UsageError(
            f"--no-provision and --keyname {options.keyname}: no other key enters, and that one is not here",
            hint="--keypair FILE is its private half; without --keyname the cluster gets a key of its own",
        )
    if options.username is not None and not options.provision and options.keyname is None:
        raise UsageError(
            "--no-provision and --username: nothing would tell the nodes of that user",
            hint="leave --username out, or name with --keyname a key pair that the image gives to them",
        )


def _check_key(path: Path) -> None:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError(
            f"--keypair {shortened(str(path))} cannot be read: {error.strerror}",
            hint="it is the private key's file",
        ) from error
    if "PRIVATE KEY" not in text:
        raise UsageError(f"--keypair {path} holds no private key", hint="it is the file without .pub")


def _files(options: LaunchOptions) -> None:
    if options.file is not None:
        _check_file(options.file)
    if options.user_data is not None:
        read_text(options.user_data, "--user-data")


def _check_file(path: Path) -> None:
    folder = path.absolute().parent
    try:
        has_folder, is_folder = folder.is_dir(), path.is_dir()
    except OSError as error:
        raise UsageError(
            f"--file {shortened(str(path))} cannot be written: {error.strerror}", hint="--file cluster.yaml"
        ) from error
    if not has_folder:
        raise UsageError(f"--file {path}: there is no folder {folder}", hint=f"mkdir -p {folder}")
    if is_folder:
        raise UsageError(f"--file {path} is a folder", hint=f"--file {path / 'cluster.yaml'}")
