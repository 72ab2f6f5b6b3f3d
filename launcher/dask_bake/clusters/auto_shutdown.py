"""What will end a cluster by itself, as its head tells it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

STATE_FILE = "/run/dask-bake/switches.json"
EXTEND = "/usr/libexec/dask-bake/extend"
"""The head's own program; the image brings it."""
WARNING = 300.0
"""So many seconds before its time a switch is worth a warning, as on the head's console."""


@dataclass(frozen=True)
class Switch:
    """Something that ends the cluster in ``left`` seconds, unless ``held``: then it waits for that to end."""

    name: str
    limit: float
    left: float
    held: str
    why: str


def parse_switches(text: str) -> tuple[Switch, ...] | None:
    """The switches out of the head's file; ``None`` where it does not say."""
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
    """What a person wants to know of them; what only a failure brings on is told when it comes near."""
    return tuple(
        sentence(one)
        for one in switches
        if one.name in ("lifetime", "idle") or (not one.held and one.left <= one.limit / 2)
    )


def sentence(switch: Switch) -> str:
    """When it ends the cluster, or why it does not."""
    if switch.name == "lifetime":
        return f"It ends itself in {in_words(switch.left)} at the latest."
    if switch.held:
        return f"It is in use: {switch.held}."
    if switch.name == "idle":
        return f"It ends itself in {in_words(switch.left)} unless somebody connects or something runs."
    return f"It ends itself in {in_words(switch.left)}: {switch.why}."


def is_near(switches: Iterable[Switch]) -> bool:
    """Whether one of them is about to act."""
    return any(not one.held and one.left <= min(WARNING, one.limit / 2) for one in switches)


def in_words(seconds: float) -> str:
    """A time that a person can read."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    if hours < 2:
        return f"{whole // 60} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
