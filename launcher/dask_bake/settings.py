"""A user's own defaults: the ``dask-bake`` section of ``~/.config/dask/dask-bake.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from dask_bake.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """What the file says; ``None`` where it says nothing."""

    cloud: str | None = None
    region: str | None = None
    name: str | None = None
    type: str | None = None
    ami: str | None = None
    installer: str | None = None
    count: int | None = None
    nprocs: int | None = None
    timeout: int | None = None


NUMBERS = ("count", "nprocs", "timeout")


def settings_path(environ: Mapping[str, str]) -> Path:
    """Where the file is, if there is one: among dask's own."""
    return Path(environ.get("HOME", "~")).expanduser() / ".config" / "dask" / "dask-bake.yaml"


def read_settings(path: Path) -> Settings:
    """The settings of the file; none when there is no file."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise _unusable(path, f"is not YAML: {' '.join(str(error).split())}") from error
    return parse_settings(document, path)


def parse_settings(document: object, path: Path) -> Settings:
    """The settings in the parsed file; anything that is not understood is an error, not a surprise later."""
    if document is None:
        return Settings()
    if not isinstance(document, dict):
        raise _unusable(path, "must hold a section 'dask-bake:' with settings below it")
    section = document.get("dask-bake") or {}
    if not isinstance(section, dict):
        raise _unusable(path, "has a section 'dask-bake' that holds no settings")
    known = {field.name for field in fields(Settings)}
    for key, value in section.items():
        if key not in known:
            raise _unusable(path, f"has an unknown setting '{key}'; there are {', '.join(sorted(known))}")
        expected = int if key in NUMBERS else str
        if not isinstance(value, expected) or isinstance(value, bool):
            wanted = "a whole number" if expected is int else "a text"
            raise _unusable(path, f"has {key}: {value!r}, which should be {wanted}")
    return Settings(**section)


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(f"the configuration file {path} {why}", hint=f"mend or remove {path}")
