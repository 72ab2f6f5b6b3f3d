"""What a launch was asked for: checked once, frozen, made in one place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.settings import Settings

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class CloudChoice(StrEnum):
    """Which cloud to use; ``auto`` is Amazon's where there are credentials, else the local one."""

    AUTO = "auto"
    AWS = "aws"
    LOCAL = "local"


@dataclass(frozen=True)
class LaunchOptions:
    """The options of ``dask-bake launch``; an object that exists is valid."""

    count: int = 4
    nprocs: int = 1
    name: str = "dask"
    type: str = "m6i.2xlarge"
    ami: str | None = None
    file: Path | None = None
    timeout: int = 300
    allow_mismatch: bool = False

    def __post_init__(self) -> None:
        if self.count < 2:
            raise UsageError(
                f"--count counts the head: at least 2, not {self.count}",
                hint="--count 2 is a head and one worker",
            )
        if self.nprocs < 1:
            raise UsageError(
                f"--nprocs is the worker processes of a node: at least 1, not {self.nprocs}",
                hint="--nprocs 8 gives each worker node 8 processes",
            )
        if self.timeout < 1:
            raise UsageError(
                f"--timeout is in seconds: at least 1, not {self.timeout}", hint="the default is 300"
            )
        check_name(self.name)
        if self.file is not None and not self.file.absolute().parent.is_dir():
            folder = self.file.absolute().parent
            raise UsageError(f"--file {self.file}: there is no folder {folder}", hint=f"mkdir -p {folder}")


def check_name(name: str) -> str:
    """The name, if a cluster can be called that."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a cluster's name",
            hint="use lower-case letters, digits and '-', beginning with a letter, at most 32 of them",
        )
    return name


def launch_options(flags: Mapping[str, Any], settings: Settings) -> LaunchOptions:
    """The options: a flag that was given, else the user's file, else the default."""
    names = {field.name for field in fields(LaunchOptions)}
    filed = {name: getattr(settings, name, None) for name in names}
    chosen = {**filed, **{name: value for name, value in flags.items() if value is not None}}
    return LaunchOptions(**{name: value for name, value in chosen.items() if value is not None})


def cloud_choice(flag: str | None, environ: Mapping[str, str], settings: Settings) -> CloudChoice:
    """The cloud asked for: the flag, else ``DASK_BAKE_CLOUD``, else the user's file, else ``auto``."""
    for value, origin in (
        (flag, "--cloud"),
        (environ.get("DASK_BAKE_CLOUD") or None, "DASK_BAKE_CLOUD"),
        (settings.cloud, "the configuration file's cloud"),
    ):
        if value is not None:
            return _parse_cloud(value, origin)
    return CloudChoice.AUTO


def _parse_cloud(value: str, origin: str) -> CloudChoice:
    try:
        return CloudChoice(value)
    except ValueError:
        raise UsageError(f"{origin} is {value!r}", hint="it can be auto, aws or local") from None
