"""Data classes for the options of a launch and for the cloud."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from dask_bake.models.cloud import CloudChoice, Connect, CredentialSource
from dask_bake.options.values import DEFAULT_NAME, Pairs

DEFAULT_TYPE = "m6i.2xlarge"


@dataclass(frozen=True)
class LaunchOptions:
    """Options of ``dask-bake launch``: one field per option of ``launch_table``.

    Plain data without checks; ``parse`` builds checked objects.

    Args:
        name: ``parse`` puts the user's name into the default.
        image_name: the environment of the image; ``None`` for that of dask-bake's own environment.yml.
        nprocs: ``None`` for auto: Dask's own rule for the instance type.
        nthreads: ``None`` for an equal share of the vCPUs.
        min_workers: ``None`` for all workers.
        keep_size: ``None`` if not given; see ``keeps_size``.
        connect: ``None`` if not given; see ``transport``.
        credentials: ``None`` if not given; see ``credential_source``.
    """

    name: str = DEFAULT_NAME
    count: int = 4
    image_name: str | None = None
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
    keep_size: bool | None = None
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
    credentials: CredentialSource | None = None

    @property
    def head_types(self) -> tuple[str, ...]:
        """Return the instance types of the head node, in order of preference."""
        return self.head_type or self.type

    @property
    def transport(self) -> Connect:
        """Return the SSH transport to the head node: as given, else direct."""
        return self.connect or Connect.DIRECT

    @property
    def credential_source(self) -> CredentialSource:
        """Return the source of the tasks' AWS credentials: as given, else the instance profile, if any."""
        if self.credentials is not None or not self.runs_dask or self.iaminstance_name is None:
            return self.credentials or CredentialSource.NONE
        return CredentialSource.PROFILE

    @property
    def keeps_size(self) -> bool:
        """Return whether nodes that EC2 ends are replaced: as given, else if the workers may be on spot."""
        chosen = self.spot or self.spot_with_fallback if self.keep_size is None else self.keep_size
        return chosen and self.runs_dask

    @property
    def all_tags(self) -> dict[str, str]:
        """Return the user's tags of ``--tags`` and ``--tag``."""
        return {**dict(self.tags), **dict(self.tag)}

    @property
    def worker_arguments(self) -> tuple[str, ...]:
        """Return the arguments of ``--worker-options``."""
        return tuple(shlex.split(self.worker_options))

    @property
    def scheduler_arguments(self) -> tuple[str, ...]:
        """Return the arguments of ``--scheduler-options``."""
        return tuple(shlex.split(self.scheduler_options))

    @property
    def runs_dask(self) -> bool:
        """Return whether the nodes start a scheduler and workers."""
        return self.dask and self.provision


@dataclass(frozen=True)
class CloudOptions:
    """Options of every command that uses a cloud."""

    cloud: CloudChoice = CloudChoice.AUTO
    region: str | None = None
    profile: str | None = None
