"""What a launch was asked for: checked once, frozen, made in one place."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.models.cloud import CloudChoice, Connect
from dask_bake.options.configuration import Configuration
from dask_bake.options.launch_table import OPTIONS
from dask_bake.options.precedence import blaming, chosen
from dask_bake.options.settings_table import WHERE
from dask_bake.options.values import Pairs, shown

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
DEFAULT_TYPE = "m6i.2xlarge"


@dataclass(frozen=True)
class LaunchOptions:
    """The options of ``dask-bake launch``, as ``launch_table`` tells them; an object that exists is valid.

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
    max_lifetime: int = 43_200
    idle_timeout: int = 1_800
    keep_on_failure: bool = False
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
        from dask_bake.options.checks import check

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
            f"{shown(name)} cannot be a cluster's name",
            hint="use lower-case letters, digits and '-', beginning with a letter, at most 32 of them",
        )
    return name


def launch_options(flags: Mapping[str, Any], configuration: Configuration) -> LaunchOptions:
    """The options: a flag that was given, else what is configured, else the default."""
    values = chosen(OPTIONS, flags, configuration)
    with blaming(OPTIONS, flags, configuration):
        return LaunchOptions(**values)


@dataclass(frozen=True)
class Whereabouts:
    """Which cloud is meant, and where in it."""

    cloud: CloudChoice = CloudChoice.AUTO
    region: str | None = None
    profile: str | None = None


def whereabouts(flags: Mapping[str, Any], configuration: Configuration) -> Whereabouts:
    """Likewise for where things are."""
    return Whereabouts(**chosen(WHERE, flags, configuration))
