"""Encode values so that systemd, shells, sshd and YAML read them back unchanged."""

import json
import re
import shlex
import unicodedata
from collections.abc import Mapping
from typing import Any

from dask_bake.errors import UsageError

SESSION_PATH = "/opt/dask/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SURROGATE_PAIR = re.compile(r"\\ud([89ab][0-9a-f]{2})\\ud([c-f][0-9a-f]{2})")
FORBIDDEN_CATEGORIES = ("Cc", "Cs")
"""Control characters, and surrogates, which UTF-8 cannot encode."""


def environment_file(values: Mapping[str, object]) -> str:
    """Return the content of a systemd ``EnvironmentFile``, which a shell can read as well."""
    return "".join(f"{key}={shlex.quote(_checked(key, str(value)))}\n" for key, value in values.items())


def sshd_environment(values: Mapping[str, str]) -> str:
    """Return sshd's ``SetEnv`` line; it includes PATH, because sshd uses only the first such line."""
    pairs = {"PATH": SESSION_PATH, **values}
    words = (f"{key}={_checked(key, value)}" for key, value in pairs.items())
    return f"SetEnv {' '.join(_double_quoted(word) for word in words)}\n"


def yaml_file(values: Mapping[str, Any]) -> str:
    """Return a YAML document, written as JSON, which is YAML."""
    return json.dumps(values, indent=2) + "\n"


def yaml_value(value: object) -> str:
    """Return a value as ASCII JSON, with ``\\U`` escapes for surrogate pairs, which YAML does not join."""
    return SURROGATE_PAIR.sub(lambda match: rf"\U{_code_point(match[1], match[2]):08x}", json.dumps(value))


def _checked(key: str, value: str) -> str:
    if not VARIABLE_NAME.fullmatch(key):
        raise UsageError(f"{key!r} is not a valid variable name", hint="use letters, digits and '_'")
    if any(unicodedata.category(character) in FORBIDDEN_CATEGORIES for character in value):
        raise UsageError(
            f"the value of {key} contains a control character: {value!r}",
            hint="write it on one line, without tabs",
        )
    return value


def _double_quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _code_point(high: str, low: str) -> int:
    """Return the code point of a UTF-16 surrogate pair, given the last three digits of each half."""
    return 0x10000 + ((int("d" + high, 16) - 0xD800) << 10) + int("d" + low, 16) - 0xDC00
