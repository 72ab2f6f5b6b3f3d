"""Parser of a node's console output: its host key, and its last lines."""

import re

BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
END = "-----END SSH HOST KEY KEYS-----"
KIND = "ssh-ed25519"
OURS = "DASK-BAKE-"
"""Prefix of lines from the image's own programs."""
LAST_WORDS = ("DASK-BAKE-END ", "DASK-BAKE-FAILED ")
"""How the lines begin after which a node powers itself off; only the many lines of the shutdown follow."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, cursor movements and other control characters (ECMA-48), removed before lines are shown."""


def host_key_from_console(text: str) -> str | None:
    """Return the ed25519 host key (kind and base64) of the last complete block; ``None`` if there is none."""
    found: str | None = None
    block: list[str] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.endswith(BEGIN):
            block = []
        elif line.endswith(END) and block is not None:
            found, block = _ed25519(block) or found, None
        elif block is not None:
            block.append(line)
    return found


def last_lines(text: str, count: int) -> list[str]:
    """Return the last non-empty lines as plain text, after any earlier lines of the image's own programs.

    The lines of a shutdown that the node began by itself are left out.
    """
    lines = [line for line in (CONTROL.sub("", each).rstrip() for each in text.splitlines()) if line]
    ends = [number for number, line in enumerate(lines) if line.startswith(LAST_WORDS)]
    lines = lines[: ends[-1] + 1] if ends else lines
    return [*(line for line in lines[:-count] if line.startswith(OURS)), *lines[-count:]]


def _ed25519(lines: list[str]) -> str | None:
    for line in lines:
        # A console driver may put a time stamp or a unit's name before the line.
        words = line[line.find(KIND) :].split() if KIND in line else []
        if len(words) >= 2 and words[0] == KIND:
            return f"{words[0]} {words[1]}"
    return None
