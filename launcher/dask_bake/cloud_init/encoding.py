"""Values as a node's files write them: systemd, the shell, sshd and YAML read each as it was meant."""

import json
import re
import shlex
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dask_bake.errors import UsageError

SESSION_PATH = "/opt/dask/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PAIR = re.compile(r"\\ud([89ab][0-9a-f]{2})\\ud([c-f][0-9a-f]{2})")
UNWRITABLE = ("Cc", "Cs")
"""Control characters, and halves of characters, which no text file can hold."""


@dataclass(frozen=True)
class File:
    """A file that cloud-init writes."""

    path: str
    content: str
    permissions: str = "0644"
    owner: str | None = None


def environment_file(values: Mapping[str, object]) -> str:
    """The lines of a systemd ``EnvironmentFile``, which a shell reads the same way."""
    return "".join(f"{key}={shlex.quote(_checked(key, str(value)))}\n" for key, value in values.items())


def sshd_environment(values: Mapping[str, str]) -> str:
    """sshd's line for every session's environment; it heeds one such line alone, so the path is in it too."""
    pairs = {"PATH": SESSION_PATH, **values}
    words = (f"{key}={_checked(key, value)}" for key, value in pairs.items())
    return f"SetEnv {' '.join(_in_double_quotes(word) for word in words)}\n"


def yaml_file(values: Mapping[str, Any]) -> str:
    """A YAML document, written as JSON, which is YAML."""
    return json.dumps(values, indent=2) + "\n"


def yaml_value(value: object) -> str:
    """A value as JSON, in ASCII; but for characters that JSON writes as two, and YAML as one."""
    return PAIR.sub(lambda match: rf"\U{_joined(match[1], match[2]):08x}", json.dumps(value))


def _checked(key: str, value: str) -> str:
    if not NAME.fullmatch(key):
        raise UsageError(f"{key!r} cannot be the name of a variable", hint="use letters, digits and '_'")
    if any(unicodedata.category(character) in UNWRITABLE for character in value):
        raise UsageError(
            f"the value of {key} cannot be handed to a node: {value!r} holds a control character",
            hint="write it on one line, without tabs",
        )
    return value


def _in_double_quotes(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _joined(high: str, low: str) -> int:
    """The character of which UTF-16 makes two."""
    return 0x10000 + ((int("d" + high, 16) - 0xD800) << 10) + int("d" + low, 16) - 0xDC00
