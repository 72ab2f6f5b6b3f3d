"""Checks of launch options that need no request: values, and options that exclude or require each other."""

import re
from dataclasses import fields
from math import ceil
from pathlib import Path

from dask_bake.errors import UsageError
from dask_bake.models.cloud import CredentialSource
from dask_bake.options.dask_checks import check_dask
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.network_checks import check_network
from dask_bake.options.tag_checks import check_tags
from dask_bake.options.text_files import read_text
from dask_bake.options.values import check_name, flag_of, line, quoted, truncated

VOLUME_TYPES = ("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard")
ROOT_VOLUME_TYPES = ("gp2", "gp3", "standard")
"""io1 and io2 require a number of IOPS; st1 and sc1 cannot be root volumes (EBS user guide, volume types)."""
LARGEST_VOLUME = {"gp2": 16_384, "gp3": 65_536, "standard": 1_024}
"""In GiB (EBS user guide, volume types)."""
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
INSTANCE_FAMILY = re.compile(r"[a-z]+[0-9]+[a-z0-9-]*")
INSTANCE_PROFILE = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}")
"""Names of instance profiles (IAM API reference, InstanceProfile)."""
CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
"""Variables by which the AWS SDKs choose other credentials."""
MINIMUMS = (
    ("count", 2, "it includes the head node: --count 2 is a head and one worker node"),
    ("nprocs", 1, "--nprocs 8 starts 8 worker processes on each worker node"),
    ("nthreads", 1, "leave it out for vCPUs / nprocs"),
    ("timeout", 1, "it is in seconds; the default is 300"),
    ("min_workers", 1, "it counts worker processes; leave it out to require all of them"),
    ("volume_size", 1, "it is in GiB; leave it out for the image's own size"),
)


def check(options: LaunchOptions) -> None:
    """Raise a ``UsageError`` for the first wrong option."""
    rules = (_lines, _numbers, _names, _types, check_dask, _volumes, check_tags, _capacity, check_network)
    for rule in (*rules, _credentials, _access, _files):
        rule(options)


def _lines(options: LaunchOptions) -> None:
    """Check that strings have no control characters; variables and tags have rules of their own."""
    for field in fields(options):
        value = getattr(options, field.name)
        for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            if isinstance(text, str) and text and field.name != "name":
                line(text, flag_of(field.name))


def _numbers(options: LaunchOptions) -> None:
    for name, minimum, hint in MINIMUMS:
        value = getattr(options, name)
        if value is not None and value < minimum:
            raise UsageError(f"{flag_of(name)} must be at least {minimum}, not {value}", hint=hint)
    rate = options.volume_initialization_rate
    if rate is not None and not 100 <= rate <= 300:
        raise UsageError(
            f"--volume-initialization-rate must be 100 to 300 MiB/s, not {rate}",
            hint="leave it out to load blocks on first access, at no charge",
        )


def _names(options: LaunchOptions) -> None:
    check_name(options.name)
    if options.username is not None and not USER_NAME.fullmatch(options.username):
        raise UsageError(
            f"--username: {quoted(options.username)} is not a valid user name",
            hint="use lower-case letters, digits, '-' and '_', at most 32 characters",
        )
    if options.username == "root":
        raise UsageError("--username root: root cannot log in", hint="choose a user that can use sudo")
    if options.username == "dask":
        raise UsageError("--username dask: the workers run as this user", hint="choose another name")
    if options.iaminstance_name is not None and not INSTANCE_PROFILE.fullmatch(options.iaminstance_name):
        raise UsageError(
            f"--iaminstance-name: {quoted(options.iaminstance_name)} is not a valid instance profile name",
            hint="give the name only, not the ARN",
        )


def _types(options: LaunchOptions) -> None:
    for flag, names in (("--type", options.type), ("--head-type", options.head_type)):
        for name in names:
            if not INSTANCE_TYPE.fullmatch(name):
                example = f"{name}.xlarge" if INSTANCE_FAMILY.fullmatch(name) else "m6i.2xlarge"
                raise UsageError(
                    f"{flag}: {quoted(name)} is not an instance type",
                    hint=f"for example {example}; separate several with commas",
                )


def _volumes(options: LaunchOptions) -> None:
    volume_type, size = options.volume_type, options.volume_size
    choices = f"choose one of {', '.join(ROOT_VOLUME_TYPES)}"
    if volume_type not in VOLUME_TYPES:
        raise UsageError(f"--volume-type: {quoted(volume_type)} is not an EBS volume type", hint=choices)
    if volume_type not in ROOT_VOLUME_TYPES:
        raise UsageError(f"--volume-type {volume_type} is not supported for root volumes", hint=choices)
    largest = LARGEST_VOLUME[volume_type]
    if size is not None and size > largest:
        raise UsageError(
            f"--volume-size must be at most {largest} GiB for {volume_type}, not {size}",
            hint="EBS has no larger volumes" if volume_type == "gp3" else "--volume-type gp3 can be larger",
        )


def _capacity(options: LaunchOptions) -> None:
    if options.spot and options.spot_with_fallback:
        raise UsageError(
            "--spot and --spot-with-fallback cannot be combined",
            hint="without Spot capacity --spot fails, and --spot-with-fallback uses On-Demand Instances",
        )
    if options.min_workers is None or options.nprocs is None:
        return
    workers = (options.count - 1) * options.nprocs
    if options.min_workers > workers:
        raise UsageError(
            f"--min-workers is {options.min_workers}, but --count {options.count}"
            f" with --nprocs {options.nprocs} starts only {workers}",
            hint=f"--count {ceil(options.min_workers / options.nprocs) + 1} starts enough",
        )


def _credentials(options: LaunchOptions) -> None:
    source = options.credential_source
    if source is CredentialSource.PROFILE and options.iaminstance_name is None:
        raise UsageError(
            "--credentials profile requires --iaminstance-name: the profile whose role tasks use",
            hint="--credentials forward gives them your own credentials",
        )
    own = [key for key, _ in options.env if key in CREDENTIAL_VARIABLES]
    if own and source is not CredentialSource.NONE:
        raise UsageError(
            f"--env {own[0]} and --credentials {source} cannot be combined: tasks would use only one of them",
            hint="leave --env out; others can read the variables of a launch",
        )


def _access(options: LaunchOptions) -> None:
    if options.keypair is not None:
        _check_key(options.keypair)
    if options.provision:
        return
    if options.keyname is not None and options.keypair is None:
        raise UsageError(
            f"--no-provision with --keyname {options.keyname} requires --keypair:"
            " the nodes accept no other key",
            hint="--keypair FILE is its private key; without --keyname dask-bake creates a key",
        )
    if options.username is not None and options.keyname is None:
        raise UsageError(
            f"--no-provision with --username {options.username}: without user-data the nodes do not"
            " create that user",
            hint="leave --username out, or give the --keyname of a key pair that the image gives that user",
        )


def _check_key(path: Path) -> None:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            return  # a pipe, as from a secret store, can be read only once
        text = path.read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError) as error:  # the latter for a path with a null byte
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"--keypair {truncated(str(path))} cannot be read: {why}",
            hint="give the path of a private key file",
        ) from error
    if "PRIVATE KEY" not in text:
        converts = "puttygen FILE -O private-openssh -o NEW converts it"
        raise UsageError(
            f"--keypair {path} contains no private key",
            hint=converts if text.startswith("PuTTY-") else "give the file without .pub",
        )


def _files(options: LaunchOptions) -> None:
    if options.file is not None:
        _check_output_file(options.file)
    if options.user_data is not None:
        read_text(options.user_data, "--user-data")


def _check_output_file(path: Path) -> None:
    folder = path.absolute().parent
    try:
        has_folder, is_folder = folder.is_dir(), path.is_dir()
    except OSError as error:
        raise UsageError(
            f"--file {truncated(str(path))} cannot be written: {error.strerror}",
            hint="for example --file cluster.yaml",
        ) from error
    if not has_folder:
        raise UsageError(f"--file {path}: the folder {folder} does not exist", hint=f"mkdir -p {folder}")
    if is_folder:
        raise UsageError(f"--file {path} is a folder", hint=f"--file {path / 'cluster.yaml'}")
