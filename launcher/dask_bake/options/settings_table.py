"""Table of all settings of the configuration: options of the cloud, of a launch and of a bake."""

from dask_bake.models.cloud import Architecture, CloudChoice, InstallerChoice
from dask_bake.options import values
from dask_bake.options.launch_table import OPTIONS, Option

IMAGE_SECTION = "image"
"""Section of the options of a bake; some have the same names as options of a launch."""

CLOUD = (
    Option(
        "cloud",
        ("--cloud",),
        "CLOUD",
        values.choice(CloudChoice),
        "aws, local, or auto: aws if there are credentials. [default: auto]",
        choices=tuple(CloudChoice),
    ),
    Option(
        "region",
        ("--region", "--region-name"),
        "REGION",
        values.line,
        "AWS region. [default: that of your AWS configuration]",
    ),
    Option(
        "profile",
        ("--profile",),
        "PROFILE",
        values.line,
        "Profile of your AWS configuration. [default: as for the AWS CLI]",
    ),
)
ENVIRONMENT = (
    Option(
        "env",
        ("--env",),
        "FILE",
        values.path,
        "environment.yml, requirements.txt, pyproject.toml or a lock. [default: dask-bake's own]",
    ),
    Option(
        "installer",
        ("--installer",),
        "WHO",
        values.choice(InstallerChoice),
        "conda, pip, or auto: conda if its channels can be reached, else pip. [default: conda]",
        choices=tuple(InstallerChoice),
    ),
    Option(
        "channel",
        ("--channel",),
        "CHANNEL",
        values.strings,
        "conda channel with priority over the others.",
        multiple=True,
    ),
    Option(
        "arch",
        ("--arch",),
        "ARCH",
        values.choice(Architecture),
        "x86_64 or arm64. [default: x86_64]",
        choices=tuple(Architecture),
    ),
)
BAKE = (
    Option(
        "base",
        ("--base",),
        "BASE",
        values.base_image,
        "debian-12, debian-13 or an AMI ID. [default: the one with the environment's Python, else debian-13]",
    ),
    Option(
        "type",
        ("--type",),
        "TYPE",
        values.line,
        "Instance type to bake on. [default: m5.large or m6g.large]",
    ),
    Option(
        "volume_size",
        ("--volume-size",),
        "GIB",
        values.integer,
        "Size of the root volume. [default: 10]",
    ),
    Option(
        "kms_key",
        ("--kms-key",),
        "KEY",
        values.line,
        "KMS key to encrypt with. [default: that of the account]",
    ),
    Option(
        "deprecate_after",
        ("--deprecate-after",),
        "DAYS",
        values.integer,
        "Deprecate the image after this time; 0 for never. [default: 365]",
    ),
    Option(
        "timeout",
        ("--timeout",),
        "SECONDS",
        values.integer,
        "Time limit of each step in the cloud. [default: 3600, and 300 for the verification]",
    ),
    Option(
        "zone",
        ("--zone",),
        "ZONE,…",
        values.comma_list,
        "Availability Zones to try, in order of preference. [default: all]",
        multiple=True,
    ),
    Option("vpc_id", ("--vpc-id",), "ID", values.string, "VPC to bake in. [default: the default VPC]"),
    Option(
        "subnet_id", ("--subnet-id",), "ID", values.string, "Subnet to bake in. [default: one in each zone]"
    ),
    Option(
        "cidr",
        ("--cidr",),
        "CIDR,…",
        values.networks,
        "Addresses or security groups with SSH access. [default: this machine's address]",
        multiple=True,
    ),
    Option(
        "private",
        ("--private/--no-private",),
        "",
        values.boolean,
        "Give the instances no public addresses; this machine has to reach their private ones.",
    ),
)
IMAGE = ENVIRONMENT + BAKE
SETTINGS = {
    **{option.key: option for option in CLOUD + OPTIONS},
    **{f"{IMAGE_SECTION}.{option.key}": option for option in IMAGE},
}
SHORT_VARIABLES = {"DASK_BAKE_CLOUD": "cloud", "DASK_BAKE_INSTALLER": f"{IMAGE_SECTION}.installer"}
