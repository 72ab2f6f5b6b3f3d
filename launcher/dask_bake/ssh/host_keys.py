"""Parser of a node's console output: its host key, and its last lines."""

import re
from collections import Counter

BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
END = "-----END SSH HOST KEY KEYS-----"
KIND = "ssh-ed25519"
KEY = re.compile(rf"{KIND} (?P<key>AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{{43}})(?![A-Za-z0-9+/=])")
"""A whole key: 51 bytes in base64, of which the first 19 are the lengths and the kind's name (RFC 8709)."""
OURS = "DASK-BAKE-"
"""Prefix of lines from the image's own programs."""
LAST_WORDS = ("DASK-BAKE-END ", "DASK-BAKE-FAILED ")
"""How the lines begin after which a node powers itself off; only the many lines of the shutdown follow."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, cursor movements and other control characters (ECMA-48), removed before lines are shown."""


def host_key_from_console(text: str) -> str | None:
    """Return the ed25519 host key (kind and base64) that the console shows most often, of these the last.

    The kernel prints into the middle of lines: a key counts if it is whole, whatever is around it. One
    between the marks of a block is preferred. ``None`` if there is no key.
    """
    found = [(match["key"], _is_in_block(text[: match.start()])) for match in KEY.finditer(text)]
    keys = [key for key, is_in_block in found if is_in_block] or [key for key, _ in found]
    counts = Counter(keys)
    best = max(reversed(keys), key=lambda key: counts[key], default=None)
    return None if best is None else f"{KIND} {best}"


def last_lines(text: str, count: int) -> list[str]:
    """Return the last non-empty lines as plain text, after any earlier lines of the image's own programs.

    The lines of a shutdown that the node began by itself are left out.
    """
    lines = [line for line in (CONTROL.sub("", each).rstrip() for each in text.splitlines()) if line]
    ends = [number for number, line in enumerate(lines) if line.startswith(LAST_WORDS)]
    lines = lines[: ends[-1] + 1] if ends else lines
    return [*(line for line in lines[:-count] if line.startswith(OURS)), *lines[-count:]]


def _is_in_block(before: str) -> bool:
    return before.rfind(BEGIN) > before.rfind(END)
