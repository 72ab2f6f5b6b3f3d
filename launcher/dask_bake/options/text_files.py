"""Read the user's text and YAML files; every failure is a ``UsageError`` or a ``YAMLError``."""

from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.values import truncated

INVALID_VALUE_ERRORS = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""Raised by PyYAML instead of ``YAMLError``: for 2026-13-45, for !!bool x, for a list nested too deeply."""


def read_text(path: Path, flag: str) -> str:
    """Return the text of the file that was given by ``flag``."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{flag} {truncated(str(path))} is not a text file", hint="it must be encoded in UTF-8"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{flag} {truncated(str(path))} cannot be read: {error.strerror}",
            hint="give the path of a file on this machine",
        ) from error


def parse_yaml(text: str | bytes) -> Any:
    """Return the parsed YAML document.

    Raises:
        yaml.YAMLError: if the text is not YAML or contains an invalid value.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except INVALID_VALUE_ERRORS as error:
        raise yaml.YAMLError(f"invalid value: {error}") from error


def yaml_problem(error: Exception) -> str:
    """Return a YAML error in one line, with its line number."""
    import yaml

    match error:
        case yaml.MarkedYAMLError(problem=str(problem), problem_mark=yaml.Mark(line=line)):
            return f"line {line + 1}: {problem}"
    return " ".join(str(error).split())
