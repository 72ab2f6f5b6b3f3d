"""Every option of a launch, from which the command line and the configuration file are made."""

from dataclasses import dataclass

from dask_bake.models.cloud import Connect
from dask_bake.options import values
from dask_bake.options.values import Parser


@dataclass(frozen=True)
class Option:
    """An option of ``dask-bake launch``.

    Args:
        name: its field of ``LaunchOptions``, and, with ``-`` for ``_``, its name in a configuration file.
        flags: its spellings on the command line; ``--a/--no-a`` for one that can be denied.
        metavar: what stands for its value in the help; empty for one that has none.
        many: whether it can be given more than once.
        choices: what its value can be, for a shell that completes it.
        is_on: whether it is a switch that is on unless it is denied.
    """

    name: str
    flags: tuple[str, ...]
    metavar: str
    parse: Parser
    help: str
    many: bool = False
    choices: tuple[str, ...] = ()
    is_on: bool = False

    @property
    def key(self) -> str:
        """Its name in a configuration file."""
        return self.name.replace("_", "-")

    @property
    def default(self) -> str:
        """What counts where it is not given, in the help's words; empty where it has none."""
        return self.help.partition("[default: ")[2].rstrip("]")

    @property
    def flag(self) -> str:
        """Its first spelling, by which messages call it."""
        return self.flags[0].partition("/")[0]


def _switch(name: str, help_text: str, *, is_on: bool = False) -> Option:
    word = name.replace("_", "-")
    return Option(name, (f"--{word}/--no-{word}",), "", values.switch, help_text, is_on=is_on)


WHAT = (
    Option("name", ("--name",), "NAME", values.text, "What the cluster is called. [default: dask]"),
    Option("count", ("--count",), "N", values.whole_number, "Nodes, the head included. [default: 4]"),
    Option("ami", ("--ami",), "ID", values.text, "Image to start from. [default: the newest that was baked]"),
    Option(
        "timeout",
        ("--timeout",),
        "SECONDS",
        values.whole_number,
        "Give up and clean up after this. [default: 300]",
    ),
    Option("file", ("--file",), "FILE", values.path, "Write the nodes to a YAML file, as dask-ec2 did."),
    _switch("allow_mismatch", "Launch an image whose versions differ from those here."),
)
SHAPE = (
    Option(
        "type",
        ("--type",),
        "TYPE,…",
        values.words,
        "Instance types of the workers, the preferred first. [default: m6i.2xlarge]",
        many=True,
    ),
    Option(
        "head_type",
        ("--head-type",),
        "TYPE,…",
        values.words,
        "Instance types of the head, which is never on spot. [default: the workers']",
        many=True,
    ),
    Option(
        "nprocs",
        ("--nprocs",),
        "N",
        values.number_or_auto,
        "Worker processes on each worker node, or auto. [default: 1]",
    ),
    Option(
        "nthreads",
        ("--nthreads",),
        "N",
        values.whole_number,
        "Threads of each worker process. [default: vCPUs / nprocs]",
    ),
    Option(
        "memory_limit",
        ("--memory-limit",),
        "SIZE",
        values.text,
        "Memory of each worker process, as dask worker takes it: 4GiB, 0.2, auto, 0. [default: auto]",
    ),
    Option(
        "worker_options",
        ("--worker-options",),
        "WORDS",
        values.text,
        "Further options of dask worker, in one string.",
    ),
    Option(
        "scheduler_options",
        ("--scheduler-options",),
        "WORDS",
        values.text,
        "Further options of dask scheduler, in one string.",
    ),
    Option(
        "preload",
        ("--preload",),
        "MODULE",
        values.texts,
        "Module, or .py file of this machine, that each worker process loads first.",
        many=True,
    ),
    Option(
        "env",
        ("--env",),
        "KEY=VALUE",
        values.pairs,
        "Environment variable of scheduler, workers and notebooks.",
        many=True,
    ),
    Option(
        "user_data",
        ("--user-data",),
        "FILE",
        values.path,
        "A #cloud-config of your own, merged into each node's.",
    ),
    Option(
        "volume_type", ("--volume-type",), "TYPE", values.text, "Type of the root volumes. [default: gp3]"
    ),
    Option(
        "volume_size",
        ("--volume-size",),
        "GIB",
        values.whole_number,
        "Size of the root volumes. [default: the image's]",
    ),
    Option(
        "volume_initialization_rate",
        ("--volume-initialization-rate",),
        "MIBPS",
        values.whole_number,
        "Have EBS load the volumes at 100 to 300 MiB/s; AWS charges for it.",
    ),
    Option(
        "placement_group",
        ("--placement-group",),
        "NAME",
        values.text,
        "Placement group to put the nodes into.",
    ),
    Option(
        "tag", ("--tag",), "KEY=VALUE", values.pairs, "Tag on everything that the launch makes.", many=True
    ),
    Option("tags", ("--tags",), "K:V,K:V", values.dec2_tags, "Tags, as dask-ec2 took them."),
    _switch("provision", "Give the nodes user-data. [default: provision]", is_on=True),
    _switch("dask", "Start scheduler and workers. [default: dask]", is_on=True),
    _switch("notebook", "Offer JupyterLab on the head. [default: notebook]", is_on=True),
)
CAPACITY = (
    Option(
        "zone",
        ("--zone",),
        "ZONE,…",
        values.words,
        "Availability zones to try, the preferred first. [default: all]",
        many=True,
    ),
    _switch("spot", "Workers on spot instances; never the head."),
    _switch("spot_with_fallback", "The same, on demand where there is no spot capacity."),
    Option(
        "min_workers",
        ("--min-workers",),
        "N",
        values.whole_number,
        "Worker processes that are good enough. [default: all]",
    ),
)
ENDING = (
    Option(
        "max_lifetime",
        ("--max-lifetime",),
        "TIME",
        values.duration,
        "The cluster ends itself after this: 12h, 90m; 0 is never. [default: 12h]",
    ),
    Option(
        "idle_timeout",
        ("--idle-timeout",),
        "TIME",
        values.duration,
        "It does so when for this long nobody is connected and nothing runs; 0 is never. [default: 30m]",
    ),
    _switch(
        "keep_on_failure", "A cluster that does not become ready stays, at most as long as its lifetime."
    ),
)
NETWORK = (
    Option("vpc_id", ("--vpc-id",), "ID", values.text, "VPC to launch into. [default: the default VPC]"),
    Option(
        "subnet_id", ("--subnet-id",), "ID", values.text, "Subnet to launch into. [default: one with room]"
    ),
    _switch("private", "No public addresses; --connect says how you get in."),
    Option(
        "connect",
        ("--connect",),
        "HOW",
        values.choice(Connect),
        "direct, bastion, ssm or eice: what carries SSH to the head. [default: direct]",
        choices=tuple(Connect),
    ),
    Option(
        "bastion",
        ("--bastion",),
        "HOST",
        values.text,
        "Your bastion host, as your ssh knows it, for --connect bastion.",
    ),
    Option(
        "cidr",
        ("--cidr",),
        "CIDR,…",
        values.networks,
        "Who may reach SSH on the head. [default: this machine's address]",
        many=True,
    ),
    _switch("allow_wide_cidr", "Take a --cidr that is wider than /24."),
    Option(
        "security_group",
        ("--security-group",),
        "NAME",
        values.text,
        "A group of yours that the nodes shall be in as well.",
    ),
    Option("security_group_id", ("--security-group-id",), "ID", values.text, "The same, by its id."),
    _switch("tls", "Encrypt among scheduler, workers and clients, with a CA for the cluster."),
)
ACCESS = (
    Option(
        "keyname", ("--keyname",), "NAME", values.text, "An EC2 key pair that the nodes shall accept as well."
    ),
    Option(
        "keypair",
        ("--keypair",),
        "FILE",
        values.path,
        "Private key to connect with. [default: a new one for the cluster]",
    ),
    Option(
        "username", ("--username",), "USER", values.text, "User to be on the nodes. [default: the image's]"
    ),
    Option(
        "iaminstance_name", ("--iaminstance-name",), "NAME", values.text, "IAM instance profile of the nodes."
    ),
)
SECTIONS = (
    ("Cluster", WHAT),
    ("Nodes", SHAPE),
    ("Capacity", CAPACITY),
    ("Ending", ENDING),
    ("Network", NETWORK),
    ("Access", ACCESS),
)
OPTIONS = tuple(option for _, options in SECTIONS for option in options)
