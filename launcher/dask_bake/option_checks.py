"""What no launch can be: options wrong in themselves, or together, refused before anything is asked."""

import ipaddress
import re
import shlex
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from dask_bake.errors import UsageError
from dask_bake.models import Connect

if TYPE_CHECKING:
    from dask_bake.options import LaunchOptions

VOLUME_TYPES = ("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard")
ROOT_VOLUME_TYPES = ("gp2", "gp3", "standard")
"""io1 and io2 need a number of IOPS; st1 and sc1 cannot be root volumes (EBS user guide, volume types)."""
WIDEST = 24
WIDEST_OF_6 = 56
OWN_TAGS = ("aws:", "dask-bake:")
TAG_KEY, TAG_VALUE, MOST_TAGS = 128, 256, 50
TAG = re.compile(r"[\w\s+\-=._:/@]*")
"""What EC2 takes in tags (EC2 user guide, tag restrictions): letters, digits, spaces and + - = . _ : / @."""
OUR_OWN_TAGS = 10
"""How many tags dask-bake itself may put on an instance, beside the user's."""
MEMORY = re.compile(r"auto|\d+(\.\d+)?(e\d+)? *([kmgtp]i?)?b?", re.IGNORECASE)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
OURS_OF_WORKER = {
    "--nworkers": "--nprocs",
    "--nprocs": "--nprocs",
    "--nthreads": "--nthreads",
    "--memory-limit": "--memory-limit",
    "--preload": "--preload",
    "--scheduler-file": "",
    "--host": "",
    "--tls-ca-file": "--tls",
    "--tls-cert": "--tls",
    "--tls-key": "--tls",
}
OURS_OF_SCHEDULER = {
    "--port": "",
    "--host": "",
    "--dashboard-address": "",
    "--no-dashboard": "",
    "--jupyter": "--notebook",
    "--tls-ca-file": "--tls",
    "--tls-cert": "--tls",
    "--tls-key": "--tls",
}


def check(options: "LaunchOptions") -> None:
    """Raises a ``UsageError`` for the first thing that cannot be."""
    for rule in (_numbers, _names, _shape, _disk, _tags, _capacity, _network, _access, _files):
        rule(options)


def _numbers(options: "LaunchOptions") -> None:
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
            raise UsageError(f"{_flag(name)} {what}: at least {minimum}, not {value}", hint=hint)
    rate = options.volume_initialization_rate
    if rate is not None and not 100 <= rate <= 300:
        raise UsageError(
            f"--volume-initialization-rate is in MiB/s: 100 to 300, not {rate}",
            hint="leave it out: then EBS loads what is read, and charges nothing for that",
        )


def _names(options: "LaunchOptions") -> None:
    from dask_bake.options import check_name

    check_name(options.name)
    if options.username is not None and not USER.fullmatch(options.username):
        raise UsageError(
            f"--username is {options.username!r}, which cannot be a user's name",
            hint="use lower-case letters, digits, '-' and '_', at most 32 of them",
        )
    if options.username == "root":
        raise UsageError("--username is root, and root may not log in", hint="take a user who may use sudo")
    if options.username == "dask":
        raise UsageError("--username is dask, which is whom the workers run as", hint="take another name")


def _shape(options: "LaunchOptions") -> None:
    if not MEMORY.fullmatch(options.memory_limit):
        raise UsageError(
            f"--memory-limit is {options.memory_limit!r}, which is no amount of memory",
            hint="4GiB, 0.2 (of the node's), auto, or 0 for no limit",
        )
    for name, ours in (("worker_options", OURS_OF_WORKER), ("scheduler_options", OURS_OF_SCHEDULER)):
        _check_words(_flag(name), getattr(options, name), ours)
    for key, value in options.env:
        if not VARIABLE.fullmatch(key):
            raise UsageError(
                f"--env {key}: that cannot be the name of a variable", hint="use letters, digits and '_'"
            )
        if not value.isprintable():
            raise UsageError(f"--env {key}: its value holds a control character", hint="write it on one line")
    needs_user_data = [
        _flag(name)
        for name in ("worker_options", "scheduler_options", "preload", "env", "user_data", "tls", "nthreads")
        if getattr(options, name)
    ]
    if not options.provision and needs_user_data:
        raise UsageError(
            f"--no-provision gives the nodes no user-data, and {needs_user_data[0]} is told to them by it",
            hint="leave one of the two out",
        )
    of_dask = [
        _flag(name)
        for name in ("worker_options", "scheduler_options", "preload", "tls", "min_workers")
        if getattr(options, name)
    ]
    if not options.runs_dask and of_dask:
        switch = "--no-dask" if options.provision else "--no-provision"
        raise UsageError(
            f"{switch} starts no Dask, and {of_dask[0]} is for Dask", hint="leave one of the two out"
        )


def _check_words(flag: str, text: str, ours: dict[str, str]) -> None:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{flag} cannot be split into words: {error}", hint="close the quotation") from None
    for word in words:
        name = word.partition("=")[0]
        if name in ours:
            way = f"{ours[name]} does that" if ours[name] else "dask-bake sees to that itself"
            raise UsageError(f"{flag} holds {name}", hint=way)
    if words and not words[0].startswith("-"):
        raise UsageError(
            f"{flag} begins with {words[0]!r}, which is no option", hint=f"{flag} '--name value …'"
        )


def _disk(options: "LaunchOptions") -> None:
    if options.volume_type not in VOLUME_TYPES:
        raise UsageError(
            f"--volume-type is {options.volume_type!r}", hint=f"it can be {', '.join(ROOT_VOLUME_TYPES)}"
        )
    if options.volume_type not in ROOT_VOLUME_TYPES:
        raise UsageError(
            f"--volume-type {options.volume_type} cannot be a node's root volume as it is",
            hint=f"it can be {', '.join(ROOT_VOLUME_TYPES)}",
        )


def _tags(options: "LaunchOptions") -> None:
    for flag, pairs in (("--tags", options.tags), ("--tag", options.tag)):
        for key, value in pairs:
            _check_tag(flag, key, value)
    both = dict(options.tags).keys() & dict(options.tag).keys()
    for key in sorted(both):
        if dict(options.tags)[key] != dict(options.tag)[key]:
            raise UsageError(f"--tag and --tags both give {key}, and differ", hint="give it once")
    if len(options.all_tags) > MOST_TAGS - OUR_OWN_TAGS:
        raise UsageError(
            f"--tag gives {len(options.all_tags)} tags: at most {MOST_TAGS - OUR_OWN_TAGS} fit beside"
            " dask-bake's own",
            hint=f"EC2 takes {MOST_TAGS} on an instance",
        )


def _check_tag(flag: str, key: str, value: str) -> None:
    if key.lower().startswith(OWN_TAGS):
        raise UsageError(
            f"{flag} {key}: tags of that beginning are not yours to set", hint="take another key"
        )
    if len(key) > TAG_KEY or len(value) > TAG_VALUE:
        raise UsageError(
            f"{flag} {key[:40]}: EC2 takes keys of {TAG_KEY} characters and values of {TAG_VALUE}",
            hint="shorten it",
        )
    wrong = sorted({character for character in key + value if not TAG.fullmatch(character)})
    if wrong:
        raise UsageError(
            f"{flag} {key}: EC2 takes no {wrong[0]!r} in a tag",
            hint="letters, digits, spaces and + - = . _ : / @ are fine",
        )


def _capacity(options: "LaunchOptions") -> None:
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


def _network(options: "LaunchOptions") -> None:
    if options.private and options.connect is None:
        raise UsageError(
            "--private leaves the head without a public address, and nothing says how you get there",
            hint="--connect bastion, ssm or eice; or direct, if this machine is in the VPC or its VPN",
        )
    if options.way is Connect.BASTION and options.bastion is None:
        raise UsageError("--connect bastion needs the bastion", hint="--bastion HOST, as your ssh knows it")
    if options.bastion is not None and options.way is not Connect.BASTION:
        raise UsageError("--bastion is for --connect bastion", hint="add that, or leave --bastion out")
    if options.bastion is not None and (
        options.bastion.startswith("-") or not re.fullmatch(r"[\w.@:\[\]-]+", options.bastion)
    ):
        raise UsageError(
            f"--bastion is {options.bastion!r}, which is no host",
            hint="user@host, or a name of your ssh configuration",
        )
    if options.way is Connect.BASTION and not options.cidr:
        raise UsageError(
            "--connect bastion needs --cidr: the address, or the security group, that the bastion comes from",
            hint="--cidr 10.0.0.5/32, or --cidr sg-0123456789abcdef0",
        )
    if options.way is Connect.SSM and options.iaminstance_name is None:
        raise UsageError(
            "--connect ssm needs --iaminstance-name: a node's agent registers with an instance profile",
            hint="one with AmazonSSMManagedInstanceCore; --connect eice needs none",
        )
    if options.way in (Connect.SSM, Connect.EICE) and options.cidr:
        raise UsageError(
            f"--cidr opens a port, and --connect {options.way} needs none", hint="leave --cidr out"
        )
    for cidr in options.cidr:
        check_width(cidr, allowed=options.allow_wide_cidr)
    if options.security_group is not None and options.security_group_id is not None:
        raise UsageError("--security-group and --security-group-id are two groups", hint="give one of them")


def check_width(cidr: str, *, allowed: bool) -> None:
    """Raises for a block that holds more addresses than was insisted on, and for the whole world always."""
    if cidr.startswith("sg-"):
        return
    network = ipaddress.ip_network(cidr)
    if network.prefixlen == 0:
        raise UsageError(
            f"--cidr {cidr} is the whole world", hint="leave --cidr out: then it is your own address"
        )
    if network.prefixlen < (WIDEST if network.version == 4 else WIDEST_OF_6) and not allowed:
        raise UsageError(
            f"--cidr {cidr} is {network.num_addresses:,} addresses",
            hint="--allow-wide-cidr insists; without --cidr it is your own address alone",
        )


def _access(options: "LaunchOptions") -> None:
    if options.keypair is not None:
        _check_key(options)
    if options.username is not None and not options.provision and options.keyname is None:
        raise UsageError(
            "--no-provision and --username: nothing would tell the nodes of that user",
            hint="leave --username out, or name with --keyname a key pair that the image gives to them",
        )


def _check_key(options: "LaunchOptions") -> None:
    path = options.keypair
    assert path is not None  # noqa: S101 - the caller has looked
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError(
            f"--keypair {path} cannot be read: {error.strerror}", hint="it is the private key's file"
        ) from error
    if "PRIVATE KEY" not in text:
        raise UsageError(f"--keypair {path} holds no private key", hint="it is the file without .pub")


def _files(options: "LaunchOptions") -> None:
    if options.file is not None and not options.file.absolute().parent.is_dir():
        folder = options.file.absolute().parent
        raise UsageError(f"--file {options.file}: there is no folder {folder}", hint=f"mkdir -p {folder}")
    if options.user_data is not None:
        read_text(options.user_data, "--user-data")
    for preload in options.preload:
        if preload.endswith(".py"):
            read_text(Path(preload), "--preload")


def read_text(path: Path, flag: str) -> str:
    """The file's text, or the sentence that says why not."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} {path} is no text", hint="it should be UTF-8") from error
    except OSError as error:
        raise UsageError(f"{flag} {path} cannot be read: {error.strerror}") from error


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
