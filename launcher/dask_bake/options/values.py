"""What users write as an option's value, parsed once: words of the command line, variables, YAML.

Each parser takes what was written and where (``--count``, ``DASK_BAKE__COUNT``), which a complaint names.
"""

import ipaddress
import os
import re
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
DIGITS = "write it in digits, at most 18 of them"
LONGEST_SHOWN = 100
"""Characters of a value that a complaint repeats."""
GROUP_ID = re.compile(r"sg-[0-9a-f]{8,17}")
CLUSTER_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def whole_number(value: object, origin: str) -> int:
    """A whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise UsageError(f"{origin} is {shown(value)}, which should be a whole number", hint=DIGITS)
    return int(text)


def number_or_auto(value: object, origin: str) -> int | None:
    """A whole number, or ``None`` for ``auto``."""
    if value == "auto":
        return None
    try:
        return whole_number(value, origin)
    except UsageError:
        raise UsageError(
            f"{origin} is {shown(value)}, which should be a whole number or auto", hint=f"{DIGITS}; or auto"
        ) from None


def duration(value: object, origin: str) -> int:
    """Seconds: ``12h``, ``90m``, ``1h30m``, ``2d``, or a plain number of them."""
    written = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if re.fullmatch(r"\d{1,9}", written, re.ASCII):
        return int(written)
    parts = re.findall(r"(\d{1,9})([dhms])", written, re.ASCII)
    if not parts or "".join(map("".join, parts)) != written:
        raise UsageError(f"{origin} is {shown(value)}, which is no duration", hint="write 12h, 90m, 45s or 0")
    return sum(int(number) * SECONDS[unit] for number, unit in parts)


def text(value: object, origin: str) -> str:
    """A text that is not empty; a number that YAML made of one is the text again."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise UsageError(
        f"{origin} is {shown(value)}, which should be a text", hint="give it a value, or leave it out"
    )


def line(value: object, origin: str) -> str:
    """A text that a terminal shows as it is."""
    found = text(value, origin)
    if not found.isprintable():
        raise UsageError(
            f"{origin} is {shown(found)}, which holds a control character", hint="write it on one line"
        )
    return found


def base_image(value: object, origin: str) -> DebianRelease | str:
    """A Debian release, ``debian-13``, or the id of an image."""
    found = line(value, origin).strip()
    release = release_named(found)
    if release is not None:
        return release
    if re.fullmatch(r"ami-[0-9a-z-]+", found):
        return found
    names = ", ".join(each.name for each in RELEASES)
    raise UsageError(f"{origin} is {shown(found)}", hint=f"it can be {names} or the id of an image: ami-…")


def switch(value: object, origin: str) -> bool:
    """Yes or no."""
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    if isinstance(value, bool):
        return value
    if str(value).lower() in words:
        return words[str(value).lower()]
    raise UsageError(
        f"{origin} is {shown(value)}, which should be true or false",
        hint="yes and no, on and off, 1 and 0 are fine too",
    )


def words(value: object, origin: str) -> tuple[str, ...]:
    """Texts, given one by one, or with commas between them."""
    found = tuple(word.strip() for each in _each(value, origin) for word in text(each, origin).split(","))
    if not all(found):
        written = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        raise UsageError(
            f"{origin} has an empty entry in {shown(written)}", hint="give names with commas between them"
        )
    return tuple(dict.fromkeys(found))


def texts(value: object, origin: str) -> tuple[str, ...]:
    """Texts, one by one, in which a comma means nothing."""
    return tuple(text(each, origin) for each in _each(value, origin))


def pairs(value: object, origin: str) -> Pairs:
    """``KEY=VALUE``, once for each key; in YAML also a mapping."""
    if isinstance(value, Mapping):
        return tuple((text(key, origin), _plain(each)) for key, each in value.items())
    found: dict[str, str] = {}
    for each in texts(value, origin):
        key, equals, rest = each.partition("=")
        if not (key and equals):
            raise UsageError(
                f"{origin} is {shown(each)}, which should be KEY=VALUE", hint="such as team=weather"
            )
        if found.get(key, rest) != rest:
            raise UsageError(
                f"{origin} gives {key} twice: {shown(found[key])} and {shown(rest)}", hint="give it once"
            )
        found[key] = rest
    return tuple(found.items())


def dec2_tags(value: object, origin: str) -> Pairs:
    """``KEY:VALUE,KEY:VALUE``, as dask-ec2 wrote tags."""
    if isinstance(value, Mapping):
        return pairs(value, origin)
    found: dict[str, str] = {}
    for each in words(value, origin):
        key, colon, rest = each.partition(":")
        if not (key and colon):
            raise UsageError(
                f"{origin} has {shown(each)}, which should be KEY:VALUE",
                hint="--tag KEY=VALUE takes any value",
            )
        if found.get(key, rest) != rest:
            raise UsageError(
                f"{origin} gives {key} twice: {shown(found[key])} and {shown(rest)}", hint="give it once"
            )
        found[key] = rest
    return tuple(found.items())


def check_name(name: str) -> str:
    """Return the name if a cluster can have it."""
    if not CLUSTER_NAME.fullmatch(name):
        raise UsageError(
            f"{shown(name)} cannot be a cluster's name",
            hint="use lower-case letters, digits and '-', beginning with a letter, at most 32 of them",
        )
    return name


def shown(value: object) -> str:
    """The value as a complaint repeats it."""
    return shortened(repr(value))


def flag_of(name: str) -> str:
    """The flag of the option whose field is called that."""
    return "--" + name.replace("_", "-")


def path(value: object, origin: str) -> Path:
    """A path, ``~`` being the user's home."""
    if isinstance(value, Path):
        return value
    written = text(value, origin)
    try:
        found = Path(written).expanduser()
        is_name = b"\0" not in os.fsencode(found)
    except (RuntimeError, UnicodeEncodeError):  # of nobody's home; of half a character
        is_name = False
    if not is_name:
        raise UsageError(
            f"{origin} is {shown(written)}, which cannot be a path", hint="write it out, beginning with /"
        )
    return found


def networks(value: object, origin: str) -> tuple[str, ...]:
    """Address blocks (``192.0.2.7`` is a block of one), and ids of security groups."""
    return tuple(
        each if GROUP_ID.fullmatch(each) else _network(each, origin) for each in words(value, origin)
    )


def choice(kind: type[Choice]) -> Callable[[object, str], Choice]:
    """One of the values of an enumeration."""

    def parse(value: object, origin: str) -> Choice:
        try:
            return kind(str(value))
        except ValueError:
            raise UsageError(f"{origin} is {shown(value)}", hint=f"it can be {', '.join(kind)}") from None

    return parse


def _network(text: str, origin: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise UsageError(
            f"{origin} is {shown(text)}, which is no address block: {shortened(str(error))}",
            hint="192.0.2.7/32 is one address",
        ) from None


def _each(value: object, origin: str) -> Iterable[object]:
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if not entries:
        raise UsageError(f"{origin} is an empty list", hint="leave it out for the default")
    return entries


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def shortened(text: str) -> str:
    """The text, or the beginning of one that nobody would read."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
