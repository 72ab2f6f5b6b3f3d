"""Timers that shut a cluster down, as its head reports them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

STATE_FILE = "/run/dask-bake/switches.json"
EXTEND = "/usr/libexec/dask-bake/extend"
"""Program on the head, part of the image."""
TEXT_LIMIT = 65536
"""Characters of the head's file; its timers take some hundred."""
LONGEST = 1e9
"""Seconds of a timer, 30 years; also excludes what JSON's Infinity and NaN give."""
WARNING = 300.0
"""Seconds before a timer's shutdown at which to warn; the head warns on its console at the same time."""


@dataclass(frozen=True)
class ShutdownTimer:
    """A timer that shuts the cluster down after ``left`` seconds, or waits while ``held`` names a reason."""

    name: str
    limit: float
    left: float
    held: str
    why: str


def parse_timers(text: str) -> tuple[ShutdownTimer, ...] | None:
    """Return the timers from the head's file; ``None`` if it cannot be parsed."""
    if len(text) > TEXT_LIMIT:
        return None
    try:
        reported: Any = json.loads(text)
        return tuple(
            ShutdownTimer(
                name=str(each["name"]),
                limit=_seconds(each["limit"]),
                left=_seconds(each["left"]),
                held=str(each["held"]),
                why=str(each["why"]),
            )
            for each in reported["switches"]
        )
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None


def _seconds(value: Any) -> float:
    """Return the seconds, at least 0; raise ValueError if it is not a duration."""
    seconds = float(value)
    if not abs(seconds) < LONGEST:
        raise ValueError(f"{seconds} is no duration")
    return max(0.0, seconds)


def sentences(timers: Iterable[ShutdownTimer]) -> tuple[str, ...]:
    """Return a sentence for each timer to show.

    The lifetime and the idle time-out are always shown; the others, which only run after a failure, are shown
    once half of their limit has passed.
    """
    return tuple(
        sentence(one)
        for one in timers
        if one.name in ("lifetime", "idle") or (not one.held and one.left <= one.limit / 2)
    )


def sentence(timer: ShutdownTimer) -> str:
    """Return when the timer shuts the cluster down, or why it does not."""
    if timer.name == "lifetime":
        return f"It shuts down in {in_words(timer.left)} at the latest."
    if timer.held:
        return f"It is in use: {timer.held}."
    if timer.name == "idle":
        return f"It shuts down in {in_words(timer.left)} unless a client connects or a task runs."
    return f"It shuts down in {in_words(timer.left)}: {timer.why}."


def limits_in_words(*, lifetime: float, idle: float) -> str:
    """Return when a new cluster ends by itself, by its limits in seconds; 0 is no limit."""
    parts = (
        f"when idle for {in_words(idle)}" if idle else "",
        f"{'at the latest ' if idle else ''}after {in_words(lifetime)}" if lifetime else "",
    )
    return ", ".join(filter(None, parts)) or "never by itself"


def is_near(timers: Iterable[ShutdownTimer]) -> bool:
    """Return whether a timer is about to shut the cluster down."""
    return any(not one.held and one.left <= min(WARNING, one.limit / 2) for one in timers)


def in_words(seconds: float) -> str:
    """Format a duration for people."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    if hours < 2:
        return f"{whole // 60} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
