"""Every setting of the configuration: a launch's options, where things are, and what is in an image."""

from dask_bake.models.cloud import Architecture, CloudChoice, InstallerChoice
from dask_bake.options import values
from dask_bake.options.launch_table import OPTIONS, Option

IMAGE_SECTION = "image"
"""The section that a bake's own options are in: some of them have the names of a launch's."""

WHERE = (
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
        "AWS region. [default: your AWS settings']",
    ),
    Option(
        "profile",
        ("--profile",),
        "PROFILE",
        values.line,
        "Profile of your AWS settings. [default: as AWS tools choose it]",
    ),
)
ENVIRONMENT = (
    Option("env", ("--env",), "FILE", values.path, "conda's environment.yml. [default: ours]"),
    Option(
        "installer",
        ("--installer",),
        "WHO",
        values.choice(InstallerChoice),
        "conda, pip, or auto: whoever can be reached. [default: conda]",
        choices=tuple(InstallerChoice),
    ),
    Option(
        "channel",
        ("--channel",),
        "CHANNEL",
        values.texts,
        "conda channel, before others.",
        many=True,
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
        "debian-12, debian-13, or an image's id. [default: the Debian with the environment's Python]",
    ),
    Option(
        "type",
        ("--type",),
        "TYPE",
        values.line,
        "EC2 instance type to bake on. [default: m5.large, or m6g.large]",
    ),
    Option(
        "volume_size",
        ("--volume-size",),
        "GIB",
        values.whole_number,
        "Size of the root volume. [default: 10]",
    ),
    Option(
        "kms_key",
        ("--kms-key",),
        "KEY",
        values.line,
        "KMS key to encrypt with. [default: the account's]",
    ),
    Option(
        "deprecate_after",
        ("--deprecate-after",),
        "DAYS",
        values.whole_number,
        "0 is never. [default: 365]",
    ),
    Option(
        "timeout",
        ("--timeout",),
        "SECONDS",
        values.whole_number,
        "What each step in the cloud may take. [default: 3600]",
    ),
)
IMAGE = ENVIRONMENT + BAKE
SETTINGS = {
    **{option.key: option for option in WHERE + OPTIONS},
    **{f"{IMAGE_SECTION}.{option.key}": option for option in IMAGE},
}
SHORT_VARIABLES = {"DASK_BAKE_CLOUD": "cloud", "DASK_BAKE_INSTALLER": f"{IMAGE_SECTION}.installer"}
