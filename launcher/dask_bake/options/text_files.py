"""Files of the user's that are text, or the sentence that says why one is not."""

from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.values import shortened

NOT_SO = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What PyYAML raises for 2026-13-45, for !!bool x, for much too deep a list, and the like."""


def read_text(path: Path, flag: str) -> str:
    """The file's text; ``flag`` is what named it."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} {shortened(str(path))} is no text", hint="it should be UTF-8") from error
    except OSError as error:
        raise UsageError(
            f"{flag} {shortened(str(path))} cannot be read: {error.strerror}",
            hint="it is a file of this machine",
        ) from error


def parse_yaml(text: str | bytes) -> Any:
    """What the YAML says.

    Raises:
        yaml.YAMLError: when it is none, or holds a value that there cannot be.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except NOT_SO as error:
        raise yaml.YAMLError(f"it holds a value that cannot be read: {error}") from error
