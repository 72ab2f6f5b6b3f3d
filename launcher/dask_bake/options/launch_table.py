"""Table of the options of ``dask-bake launch``, for the command line, the configuration and the documents."""

from dataclasses import dataclass

from dask_bake.models.cloud import Connect, CredentialSource
from dask_bake.options import values
from dask_bake.options.values import Parser


@dataclass(frozen=True)
class Option:
    """An option of the command line and of the configuration file.

    Args:
        name: field of ``LaunchOptions``; with ``-`` for ``_`` the key in a configuration file.
        flags: spellings on the command line; ``--a/--no-a`` for a switch.
        metavar: placeholder of the value in the help; empty for a switch.
        parse: parser of the value.
        help: help text, ending in ``[default: …]`` if there is a default.
        multiple: whether the flag can be repeated.
        choices: possible values, for shell completion.
        is_on: whether the switch is on by default.
    """

    name: str
    flags: tuple[str, ...]
    metavar: str
    parse: Parser
    help: str
    multiple: bool = False
    choices: tuple[str, ...] = ()
    is_on: bool = False

    @property
    def key(self) -> str:
        """Return the key in a configuration file."""
        return self.name.replace("_", "-")

    @property
    def default(self) -> str:
        """Return the default as the help text states it, or an empty string."""
        return self.help.partition("[default: ")[2].rstrip("]")

    @property
    def flag(self) -> str:
        """Return the first spelling, which messages use."""
        return self.flags[0].partition("/")[0]


def _switch(name: str, help_text: str, *, is_on: bool = False) -> Option:
    flag = name.replace("_", "-")
    return Option(name, (f"--{flag}/--no-{flag}",), "", values.boolean, help_text, is_on=is_on)


CLUSTER = (
    Option("name", ("--name",), "NAME", values.string, "Cluster name. [default: dask-USER]"),
    Option("count", ("--count",), "N", values.integer, "Number of nodes, including the head. [default: 4]"),
    Option(
        "image_name",
        ("--image", "--image-name"),
        "NAME",
        values.line,
        "Environment whose newest baked image to launch. [default: the name in the environment.yml of bake]",
    ),
    Option("ami", ("--ami",), "ID", values.string, "Image to launch, instead of the newest baked one."),
    Option(
        "timeout",
        ("--timeout",),
        "SECONDS",
        values.integer,
        "Time to wait for the cluster; if it is not ready, it is terminated. [default: 300]",
    ),
    Option("file", ("--file",), "FILE", values.path, "Write the nodes to a YAML file in dask-ec2's format."),
    _switch("allow_mismatch", "Launch even if the image's package versions differ from this machine's."),
)
NODES = (
    Option(
        "type",
        ("--type",),
        "TYPE,…",
        values.comma_list,
        "Instance types of the worker nodes, in order of preference. [default: m6i.2xlarge]",
        multiple=True,
    ),
    Option(
        "head_type",
        ("--head-type",),
        "TYPE,…",
        values.comma_list,
        "Instance types of the head node, in order of preference. [default: those of the workers]",
        multiple=True,
    ),
    Option(
        "nprocs",
        ("--nprocs",),
        "N",
        values.integer_or_auto,
        "Worker processes per worker node, or auto. [default: 1]",
    ),
    Option(
        "nthreads",
        ("--nthreads",),
        "N",
        values.integer,
        "Threads per worker process. [default: vCPUs / nprocs]",
    ),
    Option(
        "memory_limit",
        ("--memory-limit",),
        "SIZE",
        values.string,
        "Memory limit of each worker process, as for dask worker: 4GiB, 0.2, auto, 0. [default: auto]",
    ),
    Option(
        "worker_options",
        ("--worker-options",),
        "WORDS",
        values.string,
        "More options for dask worker, in one string.",
    ),
    Option(
        "scheduler_options",
        ("--scheduler-options",),
        "WORDS",
        values.string,
        "More options for dask scheduler, in one string.",
    ),
    Option(
        "preload",
        ("--preload",),
        "MODULE",
        values.strings,
        "Module, or .py file on this machine, that each worker process loads when it starts.",
        multiple=True,
    ),
    Option(
        "env",
        ("--env",),
        "KEY=VALUE",
        values.pairs,
        "Environment variable for scheduler, workers and notebooks.",
        multiple=True,
    ),
    Option(
        "user_data",
        ("--user-data",),
        "FILE",
        values.path,
        "Your own #cloud-config, merged into the user-data of each node.",
    ),
    Option(
        "volume_type",
        ("--volume-type",),
        "TYPE",
        values.string,
        "EBS volume type of the root volumes. [default: gp3]",
    ),
    Option(
        "volume_size",
        ("--volume-size",),
        "GIB",
        values.integer,
        "Size of the root volumes. [default: that of the image]",
    ),
    Option(
        "volume_initialization_rate",
        ("--volume-initialization-rate",),
        "MIBPS",
        values.integer,
        "Let EBS load the volumes at 100 to 300 MiB/s; AWS charges for it.",
    ),
    Option(
        "placement_group",
        ("--placement-group",),
        "NAME",
        values.string,
        "Existing placement group for the nodes.",
    ),
    Option(
        "tag",
        ("--tag",),
        "KEY=VALUE",
        values.pairs,
        "Tag for everything that the launch creates.",
        multiple=True,
    ),
    Option("tags", ("--tags",), "K:V,K:V", values.dask_ec2_tags, "Tags in dask-ec2's format."),
    _switch("provision", "Pass user-data to the nodes. [default: provision]", is_on=True),
    _switch("dask", "Start scheduler and workers. [default: dask]", is_on=True),
    _switch("notebook", "Provide JupyterLab on the head node. [default: notebook]", is_on=True),
)
CAPACITY = (
    Option(
        "zone",
        ("--zone",),
        "ZONE,…",
        values.comma_list,
        "Availability Zones to try, in order of preference. [default: all]",
        multiple=True,
    ),
    _switch("spot", "Use Spot Instances for the workers; the head node is always On-Demand."),
    _switch("spot_with_fallback", "Like --spot, but use On-Demand Instances if there is no Spot capacity."),
    Option(
        "min_workers",
        ("--min-workers",),
        "N",
        values.integer,
        "Accept a cluster with fewer workers: at least N worker processes. [default: all]",
    ),
    _switch(
        "keep_size",
        "Replace worker nodes that EC2 ends, while their owner is connected; on for spot.",
    ),
)
SHUTDOWN = (
    Option(
        "max_lifetime",
        ("--max-lifetime",),
        "TIME",
        values.duration,
        "Shut the cluster down after this time, such as 12h or 90m; 0 for never. [default: 12h]",
    ),
    Option(
        "idle_timeout",
        ("--idle-timeout",),
        "TIME",
        values.duration,
        "Shut the cluster down when it is idle for this time; 0 for never. [default: 30m]",
    ),
    _switch("keep_on_failure", "Keep a cluster that does not become ready, for at most its lifetime."),
)
NETWORK = (
    Option("vpc_id", ("--vpc-id",), "ID", values.string, "VPC to launch into. [default: the default VPC]"),
    Option(
        "subnet_id",
        ("--subnet-id",),
        "ID",
        values.string,
        "Subnet to launch into. [default: one with enough free addresses]",
    ),
    _switch("private", "Give the nodes no public addresses; --connect chooses the way in."),
    Option(
        "connect",
        ("--connect",),
        "HOW",
        values.choice(Connect),
        "SSH transport to the head node: direct, bastion, ssm or eice. [default: direct]",
        choices=tuple(Connect),
    ),
    Option(
        "bastion",
        ("--bastion",),
        "HOST",
        values.string,
        "Bastion host for --connect bastion, as in your SSH configuration.",
    ),
    Option(
        "cidr",
        ("--cidr",),
        "CIDR,…",
        values.networks,
        "Addresses or security groups with SSH access to the head. [default: this machine's address]",
        multiple=True,
    ),
    _switch("allow_wide_cidr", "Allow a --cidr wider than /24, or /56 for IPv6."),
    Option(
        "security_group",
        ("--security-group",),
        "NAME",
        values.string,
        "Existing security group to add the nodes to.",
    ),
    Option(
        "security_group_id",
        ("--security-group-id",),
        "ID",
        values.string,
        "Existing security group to add the nodes to, by its ID.",
    ),
    _switch("tls", "Encrypt traffic between scheduler, workers and clients, with a CA for the cluster."),
)
ACCESS = (
    Option(
        "keyname",
        ("--keyname",),
        "NAME",
        values.string,
        "EC2 key pair that the nodes accept in addition.",
    ),
    Option(
        "keypair",
        ("--keypair",),
        "FILE",
        values.path,
        "Private key to connect with. [default: a new key for the cluster]",
    ),
    Option("username", ("--username",), "USER", values.string, "Login user. [default: that of the image]"),
    Option(
        "iaminstance_name",
        ("--iaminstance-name",),
        "NAME",
        values.string,
        "IAM instance profile of the nodes.",
    ),
    Option(
        "credentials",
        ("--credentials",),
        "SOURCE",
        values.choice(CredentialSource),
        "AWS credentials of tasks: none, profile (of --iaminstance-name) or forward (yours)."
        " [default: profile with --iaminstance-name, else none]",
        choices=tuple(CredentialSource),
    ),
)
SECTIONS = (
    ("Cluster", CLUSTER),
    ("Nodes", NODES),
    ("Capacity", CAPACITY),
    ("Shutdown", SHUTDOWN),
    ("Network", NETWORK),
    ("Access", ACCESS),
)
OPTIONS = tuple(option for _, options in SECTIONS for option in options)
