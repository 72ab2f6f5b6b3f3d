"""Translation of conda's specs into pip's requirements."""

from collections.abc import Sequence
from dataclasses import dataclass

from dask_bake.environment.conda.match_spec import Spec, parse_spec, pip_version
from dask_bake.environment.names import known_names, normalized_name, pip_name, without_secrets
from dask_bake.environment.spec import Environment
from dask_bake.errors import UsageError

# conda's package dask includes what are extras for pip.
WITH_EXTRAS = {"dask": "dask[array,dataframe,diagnostics,distributed]"}
# Packages that only conda needs, and those that the base image has.
LEFT_OUT = frozenset({"python", "pip", "conda", "mamba", "micromamba", "nodefaults"})
CONDA_HINT = "--installer conda installs it"


@dataclass(frozen=True)
class ForPip:
    """An environment as pip installs it: requirements, and sentences about what differs from conda."""

    requirements: tuple[str, ...]
    notes: tuple[str, ...] = ()


def for_pip(environment: Environment, origin: str = "environment.yml") -> ForPip:
    """Return the environment as pip installs it: without Python, with pip itself.

    Raises:
        UsageError: if a package is conda's alone, or pip has no words for a spec.
    """
    specs = [parse_spec(spec) for spec in environment.specs]
    wanted = [spec for spec in specs if not _is_left_out(spec.name)]
    known = known_names()
    if alone := [spec.name for spec in wanted if known.is_conda_only(spec.name)]:
        raise UsageError(
            f"{origin} asks for {', '.join(alone)}, which only conda has: on pip's index a"
            " project of that name is missing, or another",
            hint=f"{CONDA_HINT}, or leave it out",
        )
    requirements = tuple(_requirement(spec, origin) for spec in wanted)
    return ForPip((*requirements, *environment.requirements, "pip"), tuple(_notes(specs, origin)))


def _notes(specs: Sequence[Spec], origin: str) -> list[str]:
    """Return notes on versions that are left out, and on names that may belong to other projects."""
    known, notes = known_names(), []
    dropped = [spec.text for spec in specs if spec.name in LEFT_OUT - {"python"} and spec.version]
    if dropped:
        notes.append(f"{origin} asks for {', '.join(dropped)}: only conda installs that version.")
    sure = known.same | known.renamed.keys()
    names = [spec.name for spec in specs if not _is_left_out(spec.name)]
    if trusted := [name for name in names if normalized_name(name) not in sure]:
        notes.append(
            f"{', '.join(trusted)}: taken from pip's index on trust, as conda's package and the index's"
            " project have one name. If they are not the same, use --installer conda."
        )
    return notes


def _is_left_out(name: str) -> bool:
    """Return whether a package is only needed with conda; ``__linux`` and the like describe the machine."""
    return name in LEFT_OUT or name.startswith("__")


def _requirement(spec: Spec, origin: str) -> str:
    version = pip_version(spec.version)
    if spec.build or version is None:
        raise UsageError(
            f"{origin} asks for {without_secrets(spec.text)!r}, which pip cannot be asked for",
            hint=f"{CONDA_HINT}; for pip: name, name=1.2 or name>=1.2,<2",
        )
    if spec.extras:
        return f"{pip_name(spec.name)}[{','.join(spec.extras)}]{version}"
    return WITH_EXTRAS.get(spec.name, pip_name(spec.name)) + version
