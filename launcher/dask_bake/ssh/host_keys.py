"""What a node printed to its console: its host key, and its last words."""

import re

BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
END = "-----END SSH HOST KEY KEYS-----"
KIND = "ssh-ed25519"
OURS = "DASK-BAKE-"
"""What the image's own programs print begins so; a shutdown's many lines come after it."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, cursor movements and other control characters (ECMA-48): not for somebody else's screen."""


def host_key_from_console(text: str) -> str | None:
    """The ed25519 host key (kind and base64) of the last complete block; ``None`` before there is one."""
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
    """The last lines that say something, as plain text; before them what the node says of its own end."""
    lines = [line for line in (CONTROL.sub("", each).rstrip() for each in text.splitlines()) if line]
    return [*(line for line in lines[:-count] if line.startswith(OURS)), *lines[-count:]]


def _ed25519(lines: list[str]) -> str | None:
    for line in lines:
        # A console driver may put a time stamp or a unit's name before the line.
        words = line[line.find(KIND) :].split() if KIND in line else []
        if len(words) >= 2 and words[0] == KIND:
            return f"{words[0]} {words[1]}"
    return None
