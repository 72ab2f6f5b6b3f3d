"""Locks of small conda channels, made by the real rattler."""

from collections.abc import Sequence

from dask_bake.environment.conda.channels import Channels
from dask_bake.environment.conda.condarc import CondaSettings
from dask_bake.environment.conda.solve import CondaLock, solve
from dask_bake.models.cloud import Architecture

X86, ARM = Architecture.X86_64, Architecture.ARM64


QUIET = [].append


def locked(
    specs: Sequence[str],
    *places: str,
    architecture: Architecture = X86,
    environ: dict[str, str] | None = None,
    **settings: object,
) -> CondaLock:
    channels = Channels(places, CondaSettings(**settings))  # type: ignore[arg-type]
    return solve(specs, channels, architecture, comment="# ours\n", environ=environ or {})


def names(lock: CondaLock) -> list[str]:
    return [f"{each.package.name} {each.package.version}" for each in lock.archives]
