"""dask-bake's own command lines, as hints say them: to be copied, and run as they are."""

import json
import shlex
from collections.abc import Sequence


def own_command(*words: str, flags: Sequence[str] = ()) -> str:
    """The command line of these words; ``flags`` say where, as the command that says it was told itself."""
    return shlex.join(["dask-bake", *words, *flags])


def own_call(*words: str, flags: Sequence[str] = ()) -> str:
    """The same in Python: the call of ``connect()`` with these words."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    said = [f"{flag.removeprefix('--')}={json.dumps(value)}" for flag, value in pairs]
    return f"connect({', '.join([*map(json.dumps, words), *said])})"


def in_region(flags: Sequence[str], region: str) -> tuple[str, ...]:
    """The same flags, but for that region."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return (*(word for pair in pairs if pair[0] != "--region" for word in pair), "--region", region)


def flags_of(*, cloud: str | None, region: str | None, profile: str | None) -> tuple[str, ...]:
    """The flags that say where, as far as they were given: what is configured need not be said again."""
    given = {"--cloud": cloud, "--region": region, "--profile": profile}
    return tuple(word for flag, value in given.items() if value for word in (flag, value))
