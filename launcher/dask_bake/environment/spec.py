"""Parsing of environment.yml, conda's format with a ``pip:`` part."""

import hashlib
import re
import reprlib
from dataclasses import dataclass, field

import yaml

from dask_bake.environment.conda.match_spec import parse_spec
from dask_bake.environment.variables import parse_variables
from dask_bake.errors import UsageError
from dask_bake.models.tags import DEFAULT_ENVIRONMENT
from dask_bake.options.text_files import parse_texts, yaml_problem
from dask_bake.options.values import truncated

KEYS = frozenset({"name", "channels", "dependencies", "variables"})
LONGEST = 1 << 20
"""Bytes that an environment.yml can have; the longest that a lock file gives has a fifth of them."""
NUMBER = re.compile(r"\s*[\d.:-]+\s*")
TEMPLATE_HINT = "templates are not filled in: write the values"
HINT = "it is conda's format: name, channels, dependencies with a pip: part, variables"


@dataclass(frozen=True)
class Environment:
    """A parsed environment.yml: conda specs, the lines of its pip part, and its text.

    ``notes`` are sentences about what dask-bake does not use.
    """

    name: str
    channels: tuple[str, ...]
    specs: tuple[str, ...]
    requirements: tuple[str, ...]
    text: bytes = field(repr=False)
    notes: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def python(self) -> tuple[str, ...]:
        """Return the specs that select a Python; empty if any will do."""
        pythons = (spec for spec in self.specs if parse_spec(spec).name == "python")
        return tuple(spec for spec in pythons if parse_spec(spec).version or parse_spec(spec).build)

    @property
    def sha256(self) -> str:
        """Return the hash by which a lock identifies its environment."""
        return hashlib.sha256(self.text).hexdigest()


def parse_environment(text: bytes, origin: str = "environment.yml") -> Environment:
    """Parse an environment.yml; raise on anything that is not supported."""
    if len(text) > LONGEST:
        raise UsageError(f"{origin} has {len(text) >> 20} MiB, which is no list of packages", hint=HINT)
    try:
        content = parse_texts(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        hint = TEMPLATE_HINT if b"{{" in text or b"{%" in text else HINT
        raise UsageError(f"{origin} is not YAML: {yaml_problem(error)}", hint=hint) from error
    if not isinstance(content, dict) or not isinstance(content.get("dependencies"), list):
        raise UsageError(f"{origin} has no list of dependencies", hint=HINT)
    unknown = sorted(str(key) for key in content if key not in KEYS)
    notes = (f"{origin} has {', '.join(unknown)}, which dask-bake does not use.",) if unknown else ()
    specs, requirements = _dependencies(content["dependencies"], origin)
    return Environment(
        name=_text(content.get("name") or DEFAULT_ENVIRONMENT, "name", origin),
        channels=tuple(
            _text(each, "channels", origin) for each in _list(content.get("channels"), "channels", origin)
        ),
        specs=specs,
        requirements=requirements,
        text=text,
        notes=notes,
        variables=parse_variables(content.get("variables"), origin),
    )


def _dependencies(dependencies: list[object], origin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    specs: list[str] = []
    requirements: list[str] = []
    for dependency in dependencies:
        if isinstance(dependency, str) and not NUMBER.fullmatch(dependency):
            specs.append(dependency.strip())
            parse_spec(specs[-1])
        elif isinstance(dependency, dict) and set(dependency) == {"pip"}:
            for lines in _list(dependency["pip"], "pip", origin):
                requirements += filter(None, map(str.strip, _text(lines, "pip", origin).splitlines()))
        else:
            raise UsageError(
                f"{origin} has a dependency that is no package: {_shown(dependency)}",
                hint=_written(dependency),
            )
    return tuple(specs), tuple(requirements)


def _written(dependency: object) -> str:
    """Return a hint that writes ``python: 3.10`` as conda does."""
    match dependency:
        case dict() if len(dependency) == 1 and all(isinstance(each, str) for each in dependency.values()):
            return f"write it as {'='.join(*dependency.items())}"
    return HINT


def _shown(value: object) -> str:
    """Return a value for a message; aliases can make a short text a long one."""
    short = reprlib.Repr()
    short.maxlevel = 3
    return repr(truncated(value)) if isinstance(value, str) else short.repr(value)


def _list(value: object, key: str, origin: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UsageError(f"{origin} has {key}: {_shown(value)}, which should be a list", hint=HINT)
    return value


def _text(value: object, key: str, origin: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{origin} has {_shown(value)} under {key}, which should be a text", hint=HINT)
    return value
