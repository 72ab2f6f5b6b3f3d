"""Parsing of environment.yml, conda's format with a ``pip:`` part, and its translation for pip."""

import hashlib
import re
from dataclasses import dataclass

import yaml

from dask_bake.errors import UsageError
from dask_bake.models.tags import DEFAULT_ENVIRONMENT
from dask_bake.options.text_files import parse_yaml

KEYS = frozenset({"name", "channels", "dependencies", "prefix", "platforms", "category"})
# conda's package dask includes what are extras for pip.
WITH_EXTRAS = {"dask": "dask[array,dataframe,diagnostics,distributed]"}
# Packages that only conda has, or that Debian's Python does not need.
CONDA_ONLY = frozenset({"python", "pip", "conda", "mamba", "micromamba", "nodefaults"})
SPEC = re.compile(
    r"(?:[\w./:-]+::)?(?P<name>[A-Za-z0-9_][\w.-]*)\s*(?P<version>[=<>!~][^\s=<>!~][^\s=]*|[=<>!~]=[^\s=]+)?"
)
# Packages whose names differ between conda's channels and pip's indexes.
PIP_NAMES = {
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "pytorch": "torch",
    "brotli-python": "brotli",
    "pyarrow-core": "pyarrow",
    "pytables": "tables",
    "python-duckdb": "duckdb",
    "python-graphviz": "graphviz",
    "python-tzdata": "tzdata",
}
HINT = "it is conda's format: name, channels, dependencies with a pip: part"


@dataclass(frozen=True)
class Environment:
    """A parsed environment.yml: conda specs, the requirements of its pip part, and its text."""

    name: str
    channels: tuple[str, ...]
    specs: tuple[str, ...]
    requirements: tuple[str, ...]
    text: bytes

    @property
    def python(self) -> tuple[str, ...]:
        """Return the specs that select a Python; empty if any will do."""
        return tuple(spec for spec in self.specs if spec_name(spec) == "python" and spec.lower() != "python")

    @property
    def sha256(self) -> str:
        """Return the hash by which a lock identifies its environment."""
        return hashlib.sha256(self.text).hexdigest()


def parse_environment(text: bytes, origin: str = "environment.yml") -> Environment:
    """Parse an environment.yml; raise on anything that is not supported."""
    try:
        content = parse_yaml(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{origin} is not YAML: {yaml_problem(error)}", hint=HINT) from error
    if not isinstance(content, dict) or not isinstance(content.get("dependencies"), list):
        raise UsageError(f"{origin} has no list of dependencies", hint=HINT)
    if unknown := sorted(str(key) for key in content if key not in KEYS):
        raise UsageError(f"{origin} has {', '.join(unknown)}, which an image cannot have", hint=HINT)
    specs, requirements = _dependencies(content["dependencies"], origin)
    return Environment(
        name=_text(content.get("name") or DEFAULT_ENVIRONMENT, "name", origin),
        channels=tuple(
            _text(each, "channels", origin) for each in _list(content.get("channels"), "channels", origin)
        ),
        specs=specs,
        requirements=requirements,
        text=text,
    )


def pip_requirements(environment: Environment, origin: str = "environment.yml") -> tuple[str, ...]:
    """Return the requirements if pip installs everything: without Python, with pip itself."""
    wanted = [_requirement(spec, origin) for spec in environment.specs if spec_name(spec) not in CONDA_ONLY]
    return (*wanted, *environment.requirements, "pip")


def _dependencies(dependencies: list[object], origin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    specs: list[str] = []
    requirements: list[str] = []
    for dependency in dependencies:
        if isinstance(dependency, str):
            specs.append(dependency.strip())
        elif isinstance(dependency, dict) and set(dependency) == {"pip"}:
            requirements += [_pip_line(each, origin) for each in _list(dependency["pip"], "pip", origin)]
        else:
            raise UsageError(f"{origin} has a dependency that is no package: {dependency!r}", hint=HINT)
    return tuple(specs), tuple(requirements)


def _pip_line(line: object, origin: str) -> str:
    text = _text(line, "pip", origin).strip()
    if text.startswith("-"):
        raise UsageError(
            f"{origin} gives pip the option {text.split()[0]}: its pip part can hold requirements alone",
            hint="pip's own settings say which index is used: see pip config",
        )
    if "://" in text or text.startswith((".", "/", "~")) or text.endswith((".whl", ".zip", ".tar.gz")):
        raise UsageError(
            f"{origin} asks pip for {without_secrets(text)}, which no index has",
            hint="build a wheel of it and put that into the index that pip uses",
        )
    return text


def _requirement(spec: str, origin: str) -> str:
    match = SPEC.fullmatch(spec)
    if match is None:
        raise UsageError(
            f"{origin} asks for {spec!r}, which pip cannot be asked for", hint="name, or name=1.2"
        )
    version = match["version"] or ""
    if re.match(r"=[^=]", version):
        version = f"={version.removesuffix('.*')}.*"
    name = match["name"]
    return WITH_EXTRAS.get(name, PIP_NAMES.get(name, name)) + version


def yaml_problem(error: Exception) -> str:
    """Return a YAML error in one line, with its line number."""
    match error:
        case yaml.MarkedYAMLError(problem=str(problem), problem_mark=yaml.Mark(line=line)):
            return f"line {line + 1}: {problem}"
    return " ".join(str(error).split())


def spec_name(spec: str) -> str:
    """Return the package name in a conda spec."""
    return re.split(r"[\s=<>!~\[]", _without_channel(spec), maxsplit=1)[0].lower()


def normalized_name(name: str) -> str:
    """Return a project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _without_channel(spec: str) -> str:
    return spec.rpartition("::")[2].strip()


def _list(value: object, key: str, origin: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UsageError(f"{origin} has {key}: {value!r}, which should be a list", hint=HINT)
    return value


def _text(value: object, key: str, origin: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{origin} has {value!r} under {key}, which should be a text", hint=HINT)
    return value


USER_INFO = re.compile(r"(?<=://)[^/\s]+@")


TOKEN = re.compile(r"""(?P<before>https?://\S*?/)t/[^/\s\'\")]+/?""")
"""conda's URLs with a token: https://host/t/TOKEN/channel."""


def without_secrets(text: str) -> str:
    """Return the text without the passwords and tokens in its URLs."""
    return TOKEN.sub(r"\g<before>", USER_INFO.sub("", text))
