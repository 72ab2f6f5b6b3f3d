"""The XDG base directories; an empty variable counts as one that is not set."""

from collections.abc import Mapping
from pathlib import Path


def home(environ: Mapping[str, str]) -> Path:
    """Return the user's home directory."""
    return Path(environ.get("HOME") or "~").expanduser()


def cache_home(environ: Mapping[str, str]) -> Path:
    """Return the folder for files that can be made again."""
    return _base(environ, "XDG_CACHE_HOME", ".cache")


def config_home(environ: Mapping[str, str]) -> Path:
    """Return the folder for configuration."""
    return _base(environ, "XDG_CONFIG_HOME", ".config")


def state_home(environ: Mapping[str, str]) -> Path:
    """Return the folder for what has to survive the process: logs, keys, locks."""
    return _base(environ, "XDG_STATE_HOME", ".local/state")


def _base(environ: Mapping[str, str], variable: str, default: str) -> Path:
    return Path(environ.get(variable) or home(environ) / default)
