"""The files that make a node what it is: what the units in the image wait for and read."""

import shlex
from collections.abc import Iterator
from typing import Any

from dask_bake.cloud_init.certificates import Certificate
from dask_bake.cloud_init.encoding import File, environment_file, sshd_environment, yaml_file
from dask_bake.cloud_init.settings import NodeSettings, Preload
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Role

FOLDER = "/etc/dask-bake"
PRELOADS = f"{FOLDER}/preload"
DASK_SETTINGS = "/etc/dask/dask-bake.yaml"
SSHD_SETTINGS = "/etc/ssh/sshd_config.d/40-dask-bake.conf"


def files_of(role: Role, settings: NodeSettings) -> Iterator[File]:
    """The files of a node; without Dask, what its sessions and the watch over it need, and no more."""
    if settings.environment:
        values = dict(settings.environment)
        yield File(f"{FOLDER}/launch.env", environment_file(values))
        yield File(SSHD_SETTINGS, sshd_environment(values))
    if settings.dask:
        yield from _head_files(settings) if role is Role.HEAD else _worker_files(settings)
        yield from _tls_files(role, settings)
        yield File(DASK_SETTINGS, yaml_file(_dask_settings(role, settings)))
    yield File(f"{FOLDER}/limits.env", environment_file(_limits(role, settings)))


def _limits(role: Role, settings: NodeSettings) -> dict[str, object]:
    """What the watch over a node is told: workers follow their head, so the limits are the head's alone."""
    kept = {"DASK_BAKE_KEEP_ON_FAILURE": "true"} if settings.keep_on_failure else {}
    lifetime = {"DASK_BAKE_LIFETIME": settings.max_lifetime}
    own: dict[str, object] = {"DASK_BAKE_HEAD": settings.scheduler.partition("://")[2].rpartition(":")[0]}
    if role is Role.HEAD:
        own = {"DASK_BAKE_IDLE": settings.idle_timeout}
    return {"DASK_BAKE_ROLE": role, "DASK_BAKE_CLUSTER": settings.cluster, **lifetime, **own, **kept}


def _head_files(settings: NodeSettings) -> Iterator[File]:
    user = {} if settings.user is None else {"DASK_BAKE_USER": settings.user}
    values = {"DASK_BAKE_CLUSTER": settings.cluster, **user, **_options(settings.scheduler_options)}
    yield File(f"{FOLDER}/head.env", environment_file(values))
    if not settings.notebook:
        yield File(f"{FOLDER}/no-notebook", "--no-notebook\n")


def _worker_files(settings: NodeSettings) -> Iterator[File]:
    limit = () if settings.memory_limit == "auto" else ("--memory-limit", settings.memory_limit)
    preloads = [word for preload in settings.preloads for word in ("--preload", _preload_path(preload))]
    values = {
        "DASK_BAKE_CLUSTER": settings.cluster,
        "DASK_BAKE_SCHEDULER": settings.scheduler,
        "DASK_BAKE_NPROCS": settings.nprocs,
        "DASK_BAKE_NTHREADS": settings.nthreads,
        **_options((*limit, *preloads, *settings.worker_options)),
    }
    yield File(f"{FOLDER}/worker.env", environment_file(values))
    texts: dict[str, str] = {}
    for preload in settings.preloads:
        if preload.source is not None and texts.setdefault(preload.name, preload.source) != preload.source:
            raise UsageError(f"--preload gives two files named {preload.name}", hint="rename one of them")
    for name, text in texts.items():
        yield File(f"{PRELOADS}/{name}", text)


def _options(words: tuple[str, ...]) -> dict[str, str]:
    return {"DASK_BAKE_OPTIONS": shlex.join(words)} if words else {}


def _preload_path(preload: Preload) -> str:
    if preload.source is None:
        return preload.name
    if not preload.name.endswith(".py"):
        raise UsageError(f"--preload {preload.name} is no Python file", hint="its name must end with .py")
    return f"{PRELOADS}/{preload.name}"


def _tls_files(role: Role, settings: NodeSettings) -> Iterator[File]:
    """A role's certificate and key are one file, only for whom they serve; hand-over sees to the client's."""
    tls = settings.tls
    if tls is None:
        return
    yield File(_tls_path("ca"), tls.ca)
    own = "scheduler" if role is Role.HEAD else "worker"
    yield _secret(own, tls.own, owner="dask:dask")
    if tls.client is not None:
        yield _secret("client", tls.client, owner="root:root")


def _secret(name: str, certificate: Certificate, *, owner: str) -> File:
    return File(_tls_path(name), certificate.cert_pem + certificate.key_pem, permissions="0600", owner=owner)


def _tls_path(name: str) -> str:
    return f"{FOLDER}/tls/{name}.pem"


def _dask_settings(role: Role, settings: NodeSettings) -> dict[str, Any]:
    """What Dask reads on the node, whoever runs it: where the scheduler is, and how to speak with it."""
    address = {"scheduler-address": settings.scheduler}
    if settings.tls is None:
        return address
    names = ("scheduler", "client") if role is Role.HEAD else ("worker", "client")
    serving = {name: {"cert": _tls_path(name)} for name in names}
    if settings.tls.client is None:  # what a task connects with is its worker's
        serving["client"] = serving[names[0]]
    tls = {"ca-file": _tls_path("ca"), **serving}
    comm = {"default-scheme": "tls", "require-encryption": True, "tls": tls}
    return {**address, "distributed": {"comm": comm}}
