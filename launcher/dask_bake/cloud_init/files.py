"""Files that cloud-init writes on a node; the systemd units in the image wait for them and read them."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dask_bake.cloud_init.certificates import Certificate
from dask_bake.cloud_init.encoding import environment_file, sshd_environment, yaml_file
from dask_bake.cloud_init.settings import NodeSettings, Preload
from dask_bake.errors import UsageError
from dask_bake.models.cloud import CredentialSource, Role

FOLDER = "/etc/dask-bake"
PRELOADS = f"{FOLDER}/preload"
DASK_SETTINGS = "/etc/dask/dask-bake.yaml"
SSHD_SETTINGS = "/etc/ssh/sshd_config.d/40-dask-bake.conf"
CREDENTIAL_SERVICE = {
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:786/credentials",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/run/dask-bake/credentials-token",
}
"""Variables by which AWS SDKs find ``dask-bake-credentials.service`` (AWS SDKs reference guide)."""


@dataclass(frozen=True)
class NodeFile:
    """An entry of ``write_files``."""

    path: str
    content: str
    permissions: str = "0644"
    owner: str | None = None


def node_files(role: Role, settings: NodeSettings) -> Iterator[NodeFile]:
    """Yield the files of a node; without Dask only those of SSH sessions and of the automatic shutdown."""
    values = dict(settings.environment)
    if values:
        yield NodeFile(f"{FOLDER}/launch.env", environment_file(values))
    service = {} if settings.credentials is CredentialSource.NONE else CREDENTIAL_SERVICE
    if service:
        source = {"DASK_BAKE_CREDENTIALS": settings.credentials, **_user(settings)}
        yield NodeFile(f"{FOLDER}/credentials.env", environment_file({**source, **service}))
    if values or service:
        yield NodeFile(SSHD_SETTINGS, sshd_environment({**values, **service}))
    if settings.dask:
        yield from _head_files(settings) if role is Role.HEAD else _worker_files(settings)
        yield from _tls_files(role, settings)
        yield NodeFile(DASK_SETTINGS, yaml_file(_dask_settings(role, settings)))
    yield NodeFile(f"{FOLDER}/limits.env", environment_file(_limits(role, settings)))


def _limits(role: Role, settings: NodeSettings) -> dict[str, object]:
    """Return the limits of the automatic shutdown; workers follow the head and have no idle time-out."""
    limits: dict[str, object] = {
        "DASK_BAKE_ROLE": role,
        "DASK_BAKE_CLUSTER": settings.cluster,
        "DASK_BAKE_LIFETIME": settings.max_lifetime,
    }
    if role is Role.HEAD:
        limits["DASK_BAKE_IDLE"] = settings.idle_timeout
    else:
        limits["DASK_BAKE_HEAD"] = settings.scheduler.partition("://")[2].rpartition(":")[0]
    if settings.keep_on_failure:
        limits["DASK_BAKE_KEEP_ON_FAILURE"] = "true"
    return limits


def _head_files(settings: NodeSettings) -> Iterator[NodeFile]:
    own = {"DASK_BAKE_CLUSTER": settings.cluster, **_user(settings)}
    values = {**own, **_options(settings.scheduler_options)}
    yield NodeFile(f"{FOLDER}/head.env", environment_file(values))
    if not settings.notebook:
        yield NodeFile(f"{FOLDER}/no-notebook", "--no-notebook\n")


def _user(settings: NodeSettings) -> dict[str, str]:
    """Return the login user, if it is not the image's."""
    return {} if settings.user is None else {"DASK_BAKE_USER": settings.user}


def _worker_files(settings: NodeSettings) -> Iterator[NodeFile]:
    limit = () if settings.memory_limit == "auto" else ("--memory-limit", settings.memory_limit)
    preloads = [word for preload in settings.preloads for word in ("--preload", _preload_path(preload))]
    values = {
        "DASK_BAKE_CLUSTER": settings.cluster,
        "DASK_BAKE_SCHEDULER": settings.scheduler,
        "DASK_BAKE_NPROCS": settings.nprocs,
        "DASK_BAKE_NTHREADS": settings.nthreads,
        **_options((*limit, *preloads, *settings.worker_options)),
    }
    yield NodeFile(f"{FOLDER}/worker.env", environment_file(values))
    sources: dict[str, str] = {}
    for preload in settings.preloads:
        if preload.source is not None and sources.setdefault(preload.name, preload.source) != preload.source:
            raise UsageError(f"--preload gives two files named {preload.name}", hint="rename one of them")
    for name, source in sources.items():
        yield NodeFile(f"{PRELOADS}/{name}", source)


def _options(words: tuple[str, ...]) -> dict[str, str]:
    return {"DASK_BAKE_OPTIONS": shlex.join(words)} if words else {}


def _preload_path(preload: Preload) -> str:
    if preload.source is None:
        return preload.name
    if not preload.name.endswith(".py"):
        raise UsageError(f"--preload {preload.name} is not a Python file", hint="its name must end in .py")
    return f"{PRELOADS}/{preload.name}"


def _tls_files(role: Role, settings: NodeSettings) -> Iterator[NodeFile]:
    """Yield the CA's certificate, and one PEM file per role, readable only by its user.

    ``hand-over``, before the scheduler starts, makes the client's file readable for the login user.
    """
    tls = settings.tls
    if tls is None:
        return
    yield NodeFile(_tls_path("ca"), tls.ca)
    own = "scheduler" if role is Role.HEAD else "worker"
    yield _secret(own, tls.own, owner="dask:dask")
    if tls.client is not None:
        yield _secret("client", tls.client, owner="root:root")


def _secret(name: str, certificate: Certificate, *, owner: str) -> NodeFile:
    return NodeFile(
        _tls_path(name), certificate.cert_pem + certificate.key_pem, permissions="0600", owner=owner
    )


def _tls_path(name: str) -> str:
    return f"{FOLDER}/tls/{name}.pem"


def _dask_settings(role: Role, settings: NodeSettings) -> dict[str, Any]:
    """Return Dask's configuration for every process on the node: scheduler address and TLS."""
    address = {"scheduler-address": settings.scheduler}
    if settings.tls is None:
        return address
    names = ("scheduler", "client") if role is Role.HEAD else ("worker", "client")
    roles = {name: {"cert": _tls_path(name)} for name in names}
    if settings.tls.client is None:  # A client inside a task uses the worker's certificate.
        roles["client"] = roles[names[0]]
    tls = {"ca-file": _tls_path("ca"), **roles}
    comm = {"default-scheme": "tls", "require-encryption": True, "tls": tls}
    return {**address, "distributed": {"comm": comm}}
