"""What a launch was asked for: checked once, frozen, made in one place."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.models import Connect
from dask_bake.option_values import Pairs
from dask_bake.settings import Settings

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
DEFAULT_TYPE = "m6i.2xlarge"


class CloudChoice(StrEnum):
    """Which cloud to use; ``auto`` is Amazon's where there are credentials, else the local one."""

    AUTO = "auto"
    AWS = "aws"
    LOCAL = "local"


@dataclass(frozen=True)
class LaunchOptions:
    """The options of ``dask-bake launch``, as ``option_table`` tells them; an object that exists is valid.

    Args:
        nprocs: ``None`` is auto: Dask's own rule for the instance type.
        nthreads: ``None`` is each process's share of the virtual CPUs.
        min_workers: ``None`` is all of them.
        connect: ``None`` is direct, where nothing speaks against that.
    """

    name: str = "dask"
    count: int = 4
    ami: str | None = None
    timeout: int = 300
    file: Path | None = None
    allow_mismatch: bool = False
    type: tuple[str, ...] = (DEFAULT_TYPE,)
    head_type: tuple[str, ...] = ()
    nprocs: int | None = 1
    nthreads: int | None = None
    memory_limit: str = "auto"
    worker_options: str = ""
    scheduler_options: str = ""
    preload: tuple[str, ...] = ()
    env: Pairs = ()
    user_data: Path | None = None
    volume_type: str = "gp3"
    volume_size: int | None = None
    volume_initialization_rate: int | None = None
    placement_group: str | None = None
    tag: Pairs = ()
    tags: Pairs = ()
    provision: bool = True
    dask: bool = True
    notebook: bool = True
    zone: tuple[str, ...] = ()
    spot: bool = False
    spot_with_fallback: bool = False
    min_workers: int | None = None
    vpc_id: str | None = None
    subnet_id: str | None = None
    private: bool = False
    connect: Connect | None = None
    bastion: str | None = None
    cidr: tuple[str, ...] = ()
    allow_wide_cidr: bool = False
    security_group: str | None = None
    security_group_id: str | None = None
    tls: bool = False
    keyname: str | None = None
    keypair: Path | None = None
    username: str | None = None
    iaminstance_name: str | None = None

    def __post_init__(self) -> None:
        from dask_bake.option_checks import check

        check(self)

    @property
    def head_types(self) -> tuple[str, ...]:
        """The types that the head may have."""
        return self.head_type or self.type

    @property
    def way(self) -> Connect:
        """What carries SSH to the head."""
        return self.connect or Connect.DIRECT

    @property
    def all_tags(self) -> dict[str, str]:
        """The user's own tags, however they were written."""
        return {**dict(self.tags), **dict(self.tag)}

    @property
    def worker_words(self) -> tuple[str, ...]:
        """The further options of ``dask worker``, word by word."""
        return tuple(shlex.split(self.worker_options))

    @property
    def scheduler_words(self) -> tuple[str, ...]:
        """The further options of ``dask scheduler``, word by word."""
        return tuple(shlex.split(self.scheduler_options))

    @property
    def runs_dask(self) -> bool:
        """Whether there will be a scheduler, and workers to wait for."""
        return self.dask and self.provision


def check_name(name: str) -> str:
    """The name, if a cluster can be called that."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a cluster's name",
            hint="use lower-case letters, digits and '-', beginning with a letter, at most 32 of them",
        )
    return name


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


def launch_options(flags: Mapping[str, Any], settings: Settings) -> LaunchOptions:
    """The options: a flag that was given, else the user's file, else the default."""
    from dask_bake.option_table import OPTIONS

    chosen = {}
    for option in OPTIONS:
        if flags.get(option.name) not in (None, ()):
            chosen[option.name] = option.parse(flags[option.name], option.flag)
        elif getattr(settings, option.name, None) is not None:
            chosen[option.name] = option.parse(getattr(settings, option.name), f"the file's {option.key}")
    return LaunchOptions(**chosen)
