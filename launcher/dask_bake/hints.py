"""Build copy-and-paste dask-bake commands for hints.

A command in a hint needs the ``--cloud``, ``--region`` and ``--profile`` that the user typed, which only the
command line knows. So it ends with a mark, and whatever prints the hint replaces the mark with the flags by
``complete``: the command line for errors, notes and views, ``api.connect`` for its errors.
"""

import json
import re
import shlex
from collections.abc import Sequence

MARK = "\0"
"""No argument, file name or answer of EC2 can hold this character."""
PLACE = re.compile(f"{MARK}([^{MARK}]*){MARK}")


def command_line(*words: str, region: str = "") -> str:
    """Return the command line of these words, to be completed; ``region`` overrides the user's."""
    return f"{shlex.join(['dask-bake', *words])}{MARK}{region}{MARK}"


def cluster_command(verb: str, name: str, *words: str) -> str:
    """Return the command line that does this with the cluster, whose name is the first word."""
    return command_line(verb, name, *words)


def complete(text: str, flags: Sequence[str] = ()) -> str:
    """Put the flags that the user typed into the commands in the text."""
    return PLACE.sub(lambda place: _typed(in_region(flags, place[1]) if place[1] else flags), text)


def python_call(*words: str, flags: Sequence[str] = ()) -> str:
    """Return the call of ``connect()`` with these words, and with the flags as arguments."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    given = [f"{flag.removeprefix('--')}={json.dumps(value)}" for flag, value in pairs]
    return f"connect({', '.join([*map(json.dumps, words), *given])})"


def in_region(flags: Sequence[str], region: str) -> tuple[str, ...]:
    """Return the same flags for another region."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return (*(word for pair in pairs if pair[0] != "--region" for word in pair), "--region", region)


def flags_of(*, cloud: str | None, region: str | None, profile: str | None) -> tuple[str, ...]:
    """Return the flags that were given; what is configured need not be repeated."""
    given = {"--cloud": cloud, "--region": region, "--profile": profile}
    return tuple(word for flag, value in given.items() if value for word in (flag, value))


def _typed(flags: Sequence[str]) -> str:
    return f" {shlex.join(flags)}" if flags else ""
