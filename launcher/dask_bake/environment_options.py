"""What a user says of an environment: checked once, frozen, made in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from dask_bake.errors import UsageError
from dask_bake.models import Architecture
from dask_bake.settings import Settings

Choice = TypeVar("Choice", bound=StrEnum)


class InstallerChoice(StrEnum):
    """Who installs the environment; ``auto`` is conda where its channel answers, else pip."""

    CONDA = "conda"
    PIP = "pip"
    AUTO = "auto"


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
    flags: Mapping[str, Any], *, lock: Path | None, environ: Mapping[str, str], settings: Settings
) -> EnvironmentOptions:
    """The options: a flag that was given, else the process's environment, else the user's file."""
    installer = _one_of(
        InstallerChoice,
        (flags["installer"], "--installer"),
        # A lock that was given says by its format who installs it.
        (None if lock is None else InstallerChoice.AUTO, "--lock"),
        (environ.get("DASK_BAKE_INSTALLER") or None, "DASK_BAKE_INSTALLER"),
        (settings.installer, "the configuration file's installer"),
    )
    architecture = _one_of(Architecture, (flags["arch"], "--arch"))
    return EnvironmentOptions(
        file=flags["file"],
        from_env=flags["from_env"],
        installer=installer or InstallerChoice.CONDA,
        lock=lock,
        channels=tuple(flags["channels"]),
        architecture=architecture or Architecture.X86_64,
    )


def _one_of(kind: type[Choice], *given: tuple[str | None, str]) -> Choice | None:
    for value, origin in given:
        if value is not None:
            try:
                return kind(value)
            except ValueError:
                possible = ", ".join(kind)
                raise UsageError(f"{origin} is {value!r}", hint=f"it can be {possible}") from None
    return None
