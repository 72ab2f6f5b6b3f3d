"""Parsers of option values, as written on the command line, in variables and in YAML.

Each parser takes the value and its origin (``--count``, ``DASK_BAKE__COUNT``), which error messages name.
"""

import ipaddress
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from dask_bake.errors import UsageError
from dask_bake.models.debian import RELEASES, DebianRelease, release_named

Choice = TypeVar("Choice", bound=StrEnum)
Pairs = tuple[tuple[str, str], ...]
Parser = Callable[[object, str], Any]

SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
DIGITS = "use digits, at most 18"
LONGEST_SHOWN = 100
"""Number of characters of a value that an error message repeats."""
GROUP_ID = re.compile(r"sg-[0-9a-f]{8,17}")
OF_A_BAKE = re.compile(r"image-[0-9a-f]{12}(?:-proof)?")
"""Names of a bake's temporary instances, found as a cluster only when given by name."""
CLUSTER_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
DEFAULT_NAME, LONGEST_NAME = "dask", 32


def default_name(login: str) -> str:
    """Return the default cluster name of the user with that login name: ``dask-anna``; ``dask`` for none."""
    name = login.rpartition("\\")[2].partition("@")[0].lower()
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    valid = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return f"{DEFAULT_NAME}-{valid}"[:LONGEST_NAME].rstrip("-") if valid else DEFAULT_NAME


def integer(value: object, origin: str) -> int:
    """Parse a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    written = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(r"-?\d{1,18}", written, re.ASCII):
        raise UsageError(f"{origin} must be a whole number, not {quoted(value)}", hint=DIGITS)
    return int(written)


def integer_or_auto(value: object, origin: str) -> int | None:
    """Parse a whole number; ``auto`` is ``None``."""
    if value == "auto":
        return None
    try:
        return integer(value, origin)
    except UsageError:
        raise UsageError(
            f"{origin} must be a whole number or auto, not {quoted(value)}", hint=f"{DIGITS}; or auto"
        ) from None


def duration(value: object, origin: str) -> int:
    """Parse a duration (``12h``, ``90m``, ``1h30m``, ``2d``, or a number of seconds) into seconds."""
    written = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if re.fullmatch(r"\d{1,9}", written, re.ASCII):
        return int(written)
    parts = re.findall(r"(\d{1,9})([dhms])", written, re.ASCII)
    if not parts or "".join(map("".join, parts)) != written:
        raise UsageError(
            f"{origin} must be a duration, not {quoted(value)}", hint="for example 12h, 90m, 45s or 0"
        )
    return sum(int(number) * SECONDS[unit] for number, unit in parts)


def string(value: object, origin: str) -> str:
    """Parse a non-empty string; numbers, as YAML reads ``4``, become strings again."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise UsageError(
        f"{origin} must be a non-empty string, not {quoted(value)}", hint="give it a value, or leave it out"
    )


def line(value: object, origin: str) -> str:
    """Parse a string without line breaks and other control characters."""
    found = string(value, origin)
    if not found.isprintable():
        raise UsageError(
            f"{origin} contains a control character: {quoted(found)}", hint="write it on one line"
        )
    return found


def base_image(value: object, origin: str) -> DebianRelease | str:
    """Parse a Debian release, such as ``debian-13``, or an AMI ID."""
    found = line(value, origin).strip()
    release = release_named(found)
    if release is not None:
        return release
    if re.fullmatch(r"ami-[0-9a-z-]+", found):
        return found
    names = ", ".join(each.name for each in RELEASES)
    raise UsageError(
        f"{origin} must be a Debian release or an AMI ID, not {quoted(found)}",
        hint=f"choose {names} or an AMI ID: ami-…",
    )


def boolean(value: object, origin: str) -> bool:
    """Parse true or false."""
    if isinstance(value, bool):
        return value
    if str(value).lower() in BOOLEANS:
        return BOOLEANS[str(value).lower()]
    raise UsageError(
        f"{origin} must be true or false, not {quoted(value)}",
        hint="yes and no, on and off, 1 and 0 also work",
    )


def comma_list(value: object, origin: str) -> tuple[str, ...]:
    """Parse strings that are given one by one or separated by commas; duplicates are removed."""
    found = tuple(
        part.strip() for each in _entries(value, origin) for part in string(each, origin).split(",")
    )
    if not all(found):
        written = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        raise UsageError(f"{origin} has an empty entry: {quoted(written)}", hint="separate names with commas")
    return tuple(dict.fromkeys(found))


def strings(value: object, origin: str) -> tuple[str, ...]:
    """Parse strings that are given one by one; commas are part of them."""
    return tuple(string(each, origin) for each in _entries(value, origin))


def pairs(value: object, origin: str) -> Pairs:
    """Parse ``KEY=VALUE`` strings, or a mapping, with one value for each key."""
    if isinstance(value, Mapping):
        return tuple((string(key, origin), _plain(each)) for key, each in value.items())
    return _split_pairs(strings(value, origin), origin, "=", hint="write NAME=VALUE")


def dask_ec2_tags(value: object, origin: str) -> Pairs:
    """Parse ``KEY:VALUE,KEY:VALUE``, the format of dask-ec2, or a mapping."""
    if isinstance(value, Mapping):
        return pairs(value, origin)
    return _split_pairs(comma_list(value, origin), origin, ":", hint="--tag KEY=VALUE accepts any value")


def path(value: object, origin: str) -> Path:
    """Parse a path; ``~`` is the home directory."""
    if isinstance(value, Path):
        return value
    written = string(value, origin)
    try:
        found = Path(written).expanduser()
        is_valid = b"\0" not in os.fsencode(found)
    except (RuntimeError, UnicodeEncodeError):  # unknown user after ~; half of a surrogate pair
        is_valid = False
    if not is_valid:
        raise UsageError(f"{origin} is not a valid path: {quoted(written)}", hint="use an absolute path")
    return found


def networks(value: object, origin: str) -> tuple[str, ...]:
    """Parse CIDR blocks (``192.0.2.7`` becomes a /32) and security group IDs."""
    return tuple(
        each if GROUP_ID.fullmatch(each) else _network(each, origin) for each in comma_list(value, origin)
    )


def choice(kind: type[Choice]) -> Callable[[object, str], Choice]:
    """Return a parser of the values of an enumeration."""

    def parse(value: object, origin: str) -> Choice:
        try:
            return kind(str(value))
        except ValueError:
            raise UsageError(
                f"{origin}: {quoted(value)} is not a valid choice", hint=f"choose one of {', '.join(kind)}"
            ) from None

    return parse


def check_name(name: str) -> str:
    """Return the cluster name, or raise a ``UsageError`` if it is not valid."""
    if not CLUSTER_NAME.fullmatch(name):
        raise UsageError(
            f"{quoted(name)} is not a valid cluster name",
            hint="use lower-case letters, digits and '-', start with a letter, at most 32 characters",
        )
    return name


def quoted(value: object) -> str:
    """Return the value as error messages repeat it: quoted and truncated."""
    return truncated(repr(value))


def truncated(text: str) -> str:
    """Return the text, shortened to ``LONGEST_SHOWN`` characters."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def flag_of(name: str) -> str:
    """Return the flag of an option's field."""
    return "--" + name.replace("_", "-")


def _split_pairs(entries: Iterable[str], origin: str, separator: str, *, hint: str) -> Pairs:
    found: dict[str, str] = {}
    for entry in entries:
        key, found_separator, value = entry.partition(separator)
        if not (key and found_separator):
            raise UsageError(f"{origin} must be KEY{separator}VALUE, not {quoted(entry)}", hint=hint)
        if found.get(key, value) != value:
            raise UsageError(
                f"{origin} gives {key} twice: {quoted(found[key])} and {quoted(value)}", hint="give it once"
            )
        found[key] = value
    return tuple(found.items())


def _network(written: str, origin: str) -> str:
    try:
        return str(ipaddress.ip_network(written))
    except ValueError as error:
        raise UsageError(
            f"{origin}: {quoted(written)} is not a CIDR block: {truncated(str(error))}",
            hint="192.0.2.7/32 is a single address",
        ) from None


def _entries(value: object, origin: str) -> Iterable[object]:
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if not entries:
        raise UsageError(f"{origin} is an empty list", hint="leave it out for the default")
    return entries


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
