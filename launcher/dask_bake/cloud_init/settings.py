"""Settings of a node: the values from which its user-data is rendered."""

from dataclasses import dataclass

from dask_bake.cloud_init.certificates import NodeTls
from dask_bake.models.cloud import CredentialSource


@dataclass(frozen=True)
class Preload:
    """Code that each worker process loads: the name of a module, or name and source of a file."""

    name: str
    source: str | None


@dataclass(frozen=True)
class NodeSettings:
    """Settings of the nodes of one role.

    Args:
        scheduler: address of the scheduler, such as ``tcp://10.0.0.4:8786``.
        worker_options: additional arguments of ``dask worker``.
        scheduler_options: additional arguments of ``dask scheduler``.
        environment: variables for scheduler, workers, notebook kernels and SSH sessions.
        user: login user, ``None`` for the image's.
        extra: the user's own ``#cloud-config``.
        max_lifetime: seconds until the cluster shuts down; 0 for never.
        idle_timeout: seconds without use until the cluster shuts down; 0 for never.
        credentials: source of the AWS credentials of tasks, notebooks and SSH sessions.
        keep_on_failure: whether a node that cannot be configured, or does not join, keeps running.
    """

    cluster: str
    public_key: str
    scheduler: str
    nprocs: int
    nthreads: int
    memory_limit: str = "auto"
    worker_options: tuple[str, ...] = ()
    scheduler_options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    preloads: tuple[Preload, ...] = ()
    tls: NodeTls | None = None
    user: str | None = None
    dask: bool = True
    notebook: bool = True
    extra: str | None = None
    max_lifetime: int = 43_200
    idle_timeout: int = 1_800
    keep_on_failure: bool = False
    credentials: CredentialSource = CredentialSource.NONE
