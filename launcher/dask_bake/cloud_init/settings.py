"""What the nodes of a role are to be told, as the values that it is made of."""

from dataclasses import dataclass

from dask_bake.cloud_init.certificates import NodeTls


@dataclass(frozen=True)
class Preload:
    """Code that each worker process loads: a module's name; or a file's name, with its text."""

    name: str
    source: str | None


@dataclass(frozen=True)
class NodeSettings:
    """What the nodes of a role are told.

    Args:
        scheduler: its address, such as ``tcp://10.0.0.4:8786``.
        worker_options: further words of ``dask worker``.
        scheduler_options: further words of ``dask scheduler``.
        environment: variables for scheduler, workers, Jupyter's kernels and every session.
        user: the login user to be, where it is not the image's own.
        extra: the user's own ``#cloud-config``, which is merged.
        max_lifetime: seconds after which the cluster ends itself; 0 for never.
        idle_timeout: seconds after which it does so unless somebody is connected or something runs; likewise.
        keep_on_failure: whether a node stays that could not be configured, or does not join.
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
