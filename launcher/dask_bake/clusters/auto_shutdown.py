"""Timers that shut a cluster down, as its head reports them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

STATE_FILE = "/run/dask-bake/switches.json"
EXTEND = "/usr/libexec/dask-bake/extend"
"""Program on the head, part of the image."""
WARNING = 300.0
"""Seconds before a timer's shutdown at which to warn; the head warns on its console at the same time."""


@dataclass(frozen=True)
class Switch:
    """A timer that shuts the cluster down after ``left`` seconds, or waits while ``held`` names a reason."""

    name: str
    limit: float
    left: float
    held: str
    why: str


def parse_switches(text: str) -> tuple[Switch, ...] | None:
    """Return the timers from the head's file; ``None`` if it cannot be parsed."""
    try:
        told: Any = json.loads(text)
        return tuple(
            Switch(
                name=str(each["name"]),
                limit=float(each["limit"]),
                left=max(0.0, float(each["left"])),
                held=str(each["held"]),
                why=str(each["why"]),
            )
            for each in told["switches"]
        )
    except (ValueError, LookupError, TypeError):
        return None


def sentences(switches: Iterable[Switch]) -> tuple[str, ...]:
    """Return a sentence for each timer to show.

    The lifetime and the idle time-out are always shown; the others, which only run after a failure, are shown
    once half of their limit has passed.
    """
    return tuple(
        sentence(one)
        for one in switches
        if one.name in ("lifetime", "idle") or (not one.held and one.left <= one.limit / 2)
    )


def sentence(switch: Switch) -> str:
    """Return when the timer shuts the cluster down, or why it does not."""
    if switch.name == "lifetime":
        return f"It ends itself in {in_words(switch.left)} at the latest."
    if switch.held:
        return f"It is in use: {switch.held}."
    if switch.name == "idle":
        return f"It ends itself in {in_words(switch.left)} unless somebody connects or something runs."
    return f"It ends itself in {in_words(switch.left)}: {switch.why}."


def is_near(switches: Iterable[Switch]) -> bool:
    """Return whether a timer is about to shut the cluster down."""
    return any(not one.held and one.left <= min(WARNING, one.limit / 2) for one in switches)


def in_words(seconds: float) -> str:
    """Format a duration for people."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    if hours < 2:
        return f"{whole // 60} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
