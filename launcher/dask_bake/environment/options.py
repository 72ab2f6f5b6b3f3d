"""What a user says of an environment: checked once, frozen, made in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture, InstallerChoice
from dask_bake.options.configuration import Configuration, ConfiguredValue, resolve
from dask_bake.options.settings_table import ENVIRONMENT, IMAGE_SECTION

FIELDS = {"env": "file", "channel": "channels", "arch": "architecture"}
"""The fields that have other names than their options."""


@dataclass(frozen=True)
class EnvironmentOptions:
    """What a user says of an environment.

    Args:
        file: the environment.yml, ``None`` for the one that comes along.
        from_env: this Python's own packages, instead of a file.
        lock: a lock to be used as it is.
        channels: conda channels that come before the environment's.
    """

    file: Path | None = None
    from_env: bool = False
    installer: InstallerChoice = InstallerChoice.CONDA
    lock: Path | None = None
    channels: tuple[str, ...] = ()
    architecture: Architecture = Architecture.X86_64

    def __post_init__(self) -> None:
        if self.file is not None and self.from_env:
            raise UsageError("--env and --from-env are two environments", hint="give one of them")


def environment_options(
    flags: Mapping[str, Any], configuration: Configuration, *, lock: Path | None = None
) -> EnvironmentOptions:
    """The options: a flag that was given, else what is configured, else the default."""
    configured = dict(configuration)
    if lock is not None:
        # A lock that was given says by its format who installs it.
        installer = f"{IMAGE_SECTION}.installer"
        configured[installer] = ConfiguredValue(InstallerChoice.AUTO, "--lock", "--lock")
    if flags.get("from_env"):
        configured.pop(f"{IMAGE_SECTION}.env", None)
    values = resolve(ENVIRONMENT, flags, configured, section=f"{IMAGE_SECTION}.")
    return EnvironmentOptions(
        from_env=bool(flags.get("from_env")),
        lock=lock,
        **{FIELDS.get(name, name): value for name, value in values.items()},
    )
