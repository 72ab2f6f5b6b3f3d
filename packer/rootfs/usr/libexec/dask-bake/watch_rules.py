"""When a node ends itself: what was asked for and what is seen in, switches and words out; pure."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

WARNING = 300.0
"""So many seconds before a switch acts there is a warning; half of its limit, if that is less."""
BUSY = 0.1
"""A scheduler that uses this share of a CPU does not answer because it works."""
PATIENCE = 10.0
"""A scheduler that works may keep everybody waiting for so many times as long as one that does not."""

VARIABLES = {
    "lifetime": "DASK_BAKE_LIFETIME",
    "idle": "DASK_BAKE_IDLE",
    "lost": "DASK_BAKE_LOST",
    "joining": "DASK_BAKE_JOINING",
    "hung": "DASK_BAKE_HUNG",
    "pause": "DASK_BAKE_PAUSE",
}


class Limits(NamedTuple):
    """What the launch asked for, in seconds; a limit of 0 is none. ``pause`` is from look to look."""

    role: str
    cluster: str
    head: str = ""
    lifetime: float = 43_200.0
    idle: float = 1_800.0
    lost: float = 600.0
    joining: float = 900.0
    hung: float = 30.0
    pause: float = 5.0
    keeps_failures: bool = False
    has_dask: bool = True


class Facts(NamedTuple):
    """What is seen now.

    ``is_connected``: on the head, the scheduler has a pulse; on a worker, it has a connection to the head.
    ``extended`` is by how much the lifetime was, ``spared`` until when nothing else may end the node.
    """

    now: float
    is_connected: bool = False
    clients: int = 0
    is_running: bool = False
    has_session: bool = False
    has_busy_kernel: bool = False
    over: str = ""
    extended: float = 0.0
    spared: float = 0.0


class Past(NamedTuple):
    """What was seen: since when it is looked at, when somebody was last there, when it was last connected."""

    began: float
    somebody: float
    touched: float
    has_joined: bool = False
    was_connected: bool = False


class Switch(NamedTuple):
    """Something that ends the node: after how long, in how many seconds unless ``held``, and why."""

    name: str
    limit: float
    left: float
    held: str
    why: str

    @property
    def is_due(self) -> bool:
        """Whether it acts now."""
        return not self.held and self.left <= 0

    @property
    def is_near(self) -> bool:
        """Whether it is time to warn."""
        return not self.held and self.left <= min(WARNING, self.limit / 2)


def limits_from(values: Mapping[str, str], *, has_dask: bool) -> tuple[Limits, tuple[str, ...]]:
    """The limits, out of the unit's environment, and which variables are no numbers and do not count."""
    told = {name: values[variable] for name, variable in VARIABLES.items() if variable in values}
    asked: dict[str, Any] = {name: number for name, text in told.items() if (number := _number(text)) >= 0}
    limits = Limits(
        role=values["DASK_BAKE_ROLE"],
        cluster=values["DASK_BAKE_CLUSTER"],
        head=values.get("DASK_BAKE_HEAD", ""),
        keeps_failures=values.get("DASK_BAKE_KEEP_ON_FAILURE") == "true",
        has_dask=has_dask,
        **asked,
    )
    return limits, tuple(VARIABLES[name] for name in told if name not in asked)


def somebody(facts: Facts) -> str:
    """Who or what keeps an idle cluster; empty where nobody does."""
    if facts.clients:
        return "a client is connected" if facts.clients == 1 else f"{facts.clients} clients are connected"
    if facts.is_running:
        return "a task is running"
    if facts.has_busy_kernel:
        return "a notebook is busy"
    if facts.has_session:
        return "an SSH session is open"
    return "it was extended" if facts.now < facts.spared else ""


def remember(past: Past, facts: Facts) -> Past:
    """The past with what is seen now. Connected is who is so twice: a refused worker is for a moment."""
    is_touched = facts.is_connected and past.was_connected
    return Past(
        began=past.began,
        somebody=facts.now if somebody(facts) else past.somebody,
        touched=facts.now if is_touched else past.touched,
        has_joined=past.has_joined or is_touched,
        was_connected=facts.is_connected,
    )


def switches(limits: Limits, past: Past, facts: Facts) -> tuple[Switch, ...]:
    """What will end the node. Workers have no lifetime of their own: they end when their head has."""
    if limits.role == "head":
        found = [_lifetime(limits, past, facts), _idle(limits, past, facts), _contact(limits, past, facts)]
    else:
        found = [_contact(limits, past, facts)]
    return tuple(one for one in found if one is not None)


def reason(found: tuple[Switch, ...], facts: Facts) -> tuple[str, str] | None:
    """The name of what ends the node now, and why; None where nothing does."""
    if facts.over:
        return "over", facts.over
    return next(((one.name, one.why) for one in found if one.is_due), None)


def is_hung(limits: Limits, *, silent: float, used: float) -> bool:
    """Whether a scheduler is to be restarted that is silent for so long, and has used so much CPU since."""
    patience = PATIENCE if used >= BUSY * silent else 1.0
    return 0 < limits.hung * patience <= silent


def warning(one: Switch, limits: Limits) -> str:
    """The words before a switch acts."""
    what = "cluster" if limits.role == "head" else "node"
    said = f"this {what} ends in {in_words(max(0.0, one.left))}: {one.why}"
    return f"{said}. dask-bake extend {limits.cluster} puts it off" if what == "cluster" else said


def document(limits: Limits, past: Past, facts: Facts, found: tuple[Switch, ...]) -> dict[str, Any]:
    """All of it, for whoever asks."""
    names = ("name", "limit", "left", "held", "why")
    told = [dict(zip(names, one, strict=True)) for one in found]
    return {"role": limits.role, "switches": told, "extended": facts.extended, "past": list(past)}


def in_words(seconds: float) -> str:
    """A time that a person can read."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    if hours < 2:
        return f"{whole // 60} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _number(text: str) -> float:
    """The number of seconds; -1 where it is none."""
    try:
        number = float(text)
    except ValueError:
        return -1.0
    return number if math.isfinite(number) else -1.0


def _lifetime(limits: Limits, past: Past, facts: Facts) -> Switch | None:
    if not limits.lifetime:
        return None
    limit = limits.lifetime + facts.extended
    why = f"its lifetime of {in_words(limit)} is over"
    return Switch("lifetime", limit, past.began + limit - facts.now, "", why)


def _idle(limits: Limits, past: Past, facts: Facts) -> Switch | None:
    if not (limits.idle and limits.has_dask):
        return None
    why = f"for {in_words(limits.idle)} nobody is connected and nothing runs"
    return Switch("idle", limits.idle, past.somebody + limits.idle - facts.now, somebody(facts), why)


def _contact(limits: Limits, past: Past, facts: Facts) -> Switch | None:
    is_head = limits.role == "head"
    if is_head and not limits.has_dask:
        return None
    limit = limits.lost if past.has_joined else limits.joining
    if limits.keeps_failures and not past.has_joined:
        if is_head:
            return None  # what failed is to be looked into, for as long as its lifetime is
        limit = limits.lifetime
    if not limit:
        return None
    if is_head:
        why = f"for {in_words(limit)} the scheduler does not answer"
    elif past.has_joined:
        why = f"for {in_words(limit)} the head is lost"
    else:
        why = f"in {in_words(limit)} it has not joined the cluster"
    name = "lost" if past.has_joined else "joining"
    held = "an SSH session is open" if facts.has_session else ""
    if facts.now < facts.spared:
        held = "it was extended"
    return Switch(name, limit, past.touched + limit - facts.now, held, why)
