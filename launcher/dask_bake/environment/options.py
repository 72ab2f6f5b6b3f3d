"""The user's options for an environment, validated and frozen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture, InstallerChoice
from dask_bake.options.configuration import Configuration, ConfiguredValue, resolve
from dask_bake.options.settings_table import ENVIRONMENT, IMAGE_SECTION

FIELDS = {"env": "file", "channel": "channels", "arch": "architecture"}
"""Fields whose names differ from those of their options."""


@dataclass(frozen=True)
class EnvironmentOptions:
    """The user's options for an environment.

    Args:
        file: the environment.yml, ``None`` for the default one.
        from_env: use the running Python's packages instead of a file.
        lock: a lock to use as it is.
        channels: conda channels with a higher priority than the environment's.
    """

    file: Path | None = None
    from_env: bool = False
    installer: InstallerChoice = InstallerChoice.CONDA
    lock: Path | None = None
    channels: tuple[str, ...] = ()
    architecture: Architecture = Architecture.X86_64


def environment_options(
    flags: Mapping[str, Any], configuration: Configuration, *, lock: Path | None = None
) -> EnvironmentOptions:
    """Return the options: flags, then configuration, then defaults.

    Raises:
        UsageError: if two environments are given.
    """
    configured = dict(configuration)
    if lock is not None:
        # The format of a given lock decides the installer.
        installer = f"{IMAGE_SECTION}.installer"
        configured[installer] = ConfiguredValue(InstallerChoice.AUTO, "--lock", "--lock")
    if flags.get("from_env"):
        configured.pop(f"{IMAGE_SECTION}.env", None)
    values = resolve(ENVIRONMENT, flags, configured, section=f"{IMAGE_SECTION}.")
    options = EnvironmentOptions(
        from_env=bool(flags.get("from_env")),
        lock=lock,
        **{FIELDS.get(name, name): value for name, value in values.items()},
    )
    if options.file is not None and options.from_env:
        raise UsageError("--env and --from-env are two environments", hint="give one of them")
    return options
