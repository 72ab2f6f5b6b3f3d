"""Decide when a node ends itself, from its limits and from what was observed; pure."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

WARNING = 300.0
"""Seconds before a timer's end at which to warn; half of its limit if that is less."""
BUSY = 0.1
"""Share of a CPU from which a scheduler that does not answer is busy, not hung."""
BUSY_FACTOR = 10.0
"""How many times longer a busy scheduler may be silent."""

VARIABLES = {
    "lifetime": "DASK_BAKE_LIFETIME",
    "idle": "DASK_BAKE_IDLE",
    "lost": "DASK_BAKE_LOST",
    "joining": "DASK_BAKE_JOINING",
    "hung": "DASK_BAKE_HUNG",
    "pause": "DASK_BAKE_PAUSE",
}


class Limits(NamedTuple):
    """The launch's limits in seconds, of which 0 is none; ``pause`` is the time between two observations."""

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


class Observation(NamedTuple):
    """The state of a node at one time.

    ``is_connected``: on the head, the scheduler has a pulse; on a worker, it has a connection to the head.
    ``over`` is why the head has ended the cluster. ``extended`` is what was added to the lifetime, and before
    ``extended_until`` nothing else ends the node.
    """

    now: float
    is_connected: bool = False
    clients: int = 0
    is_running: bool = False
    has_session: bool = False
    has_busy_kernel: bool = False
    over: str = ""
    extended: float = 0.0
    extended_until: float = 0.0


class History(NamedTuple):
    """A summary of earlier observations: since when, and when the node was last in use and connected."""

    began: float
    last_used: float
    last_connected: float
    has_joined: bool = False
    was_connected: bool = False


class ShutdownTimer(NamedTuple):
    """A limit that ends the node: its value, the seconds left unless it is ``held``, and the reason."""

    name: str
    limit: float
    left: float
    held: str
    why: str

    @property
    def is_due(self) -> bool:
        """Return whether it ends the node now."""
        return not self.held and self.left <= 0

    @property
    def is_near(self) -> bool:
        """Return whether it is time to warn."""
        return not self.held and self.left <= min(WARNING, self.limit / 2)


def limits_from(values: Mapping[str, str], *, has_dask: bool) -> tuple[Limits, tuple[str, ...]]:
    """Read the limits from the unit's environment; return also the variables that are no numbers."""
    given = {name: values[variable] for name, variable in VARIABLES.items() if variable in values}
    valid: dict[str, Any] = {name: number for name, text in given.items() if (number := _number(text)) >= 0}
    limits = Limits(
        role=values["DASK_BAKE_ROLE"],
        cluster=values["DASK_BAKE_CLUSTER"],
        head=values.get("DASK_BAKE_HEAD", ""),
        keeps_failures=values.get("DASK_BAKE_KEEP_ON_FAILURE") == "true",
        has_dask=has_dask,
        **valid,
    )
    return limits, tuple(VARIABLES[name] for name in given if name not in valid)


def activity(seen: Observation) -> str:
    """Return what keeps the cluster from being idle, or nothing."""
    if seen.clients:
        return "a client is connected" if seen.clients == 1 else f"{seen.clients} clients are connected"
    if seen.is_running:
        return "a task is running"
    if seen.has_busy_kernel:
        return "a notebook is busy"
    if seen.has_session:
        return "an SSH session is open"
    return "it was extended" if seen.now < seen.extended_until else ""


def remember(history: History, seen: Observation) -> History:
    """Add an observation. Only two in a row count as connected: a refused worker connects for a moment."""
    is_connected = seen.is_connected and history.was_connected
    return History(
        began=history.began,
        last_used=seen.now if activity(seen) else history.last_used,
        last_connected=seen.now if is_connected else history.last_connected,
        has_joined=history.has_joined or is_connected,
        was_connected=seen.is_connected,
    )


def shutdown_timers(limits: Limits, history: History, seen: Observation) -> tuple[ShutdownTimer, ...]:
    """Return the node's timers. Workers have no lifetime of their own: they end when their head has ended."""
    if limits.role == "head":
        found = [_lifetime(limits, history, seen), _idle(limits, history, seen), _lost(limits, history, seen)]
    else:
        found = [_lost(limits, history, seen)]
    return tuple(one for one in found if one is not None)


def reason(timers: tuple[ShutdownTimer, ...], seen: Observation) -> tuple[str, str] | None:
    """Return the name of what ends the node now, and why; None if nothing does."""
    if seen.over:
        return "over", seen.over
    return next(((one.name, one.why) for one in timers if one.is_due), None)


def is_hung(limits: Limits, *, silent: float, used: float) -> bool:
    """Return whether to restart a scheduler that was silent for so long and used so much CPU meanwhile."""
    factor = BUSY_FACTOR if used >= BUSY * silent else 1.0
    return 0 < limits.hung * factor <= silent


def warning(timer: ShutdownTimer, limits: Limits) -> str:
    """Return the message to show before a timer ends the node."""
    what = "cluster" if limits.role == "head" else "node"
    text = f"this {what} ends in {in_words(max(0.0, timer.left))}: {timer.why}"
    return f"{text}. To postpone it: dask-bake extend {limits.cluster}" if what == "cluster" else text


def document(
    limits: Limits, history: History, seen: Observation, timers: tuple[ShutdownTimer, ...]
) -> dict[str, Any]:
    """Return the state that the launcher and the next start of the watch read."""
    names = ("name", "limit", "left", "held", "why")
    switches = [dict(zip(names, one, strict=True)) for one in timers]
    return {"role": limits.role, "switches": switches, "extended": seen.extended, "past": list(history)}


def in_words(seconds: float) -> str:
    """Return a time as a person reads it."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    if hours < 2:
        return f"{whole // 60} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _number(text: str) -> float:
    """Return the number of seconds, or -1 if the text is none."""
    try:
        number = float(text)
    except ValueError:
        return -1.0
    return number if math.isfinite(number) else -1.0


def _lifetime(limits: Limits, history: History, seen: Observation) -> ShutdownTimer | None:
    if not limits.lifetime:
        return None
    limit = limits.lifetime + seen.extended
    why = f"its lifetime of {in_words(limit)} is over"
    return ShutdownTimer("lifetime", limit, history.began + limit - seen.now, "", why)


def _idle(limits: Limits, history: History, seen: Observation) -> ShutdownTimer | None:
    if not (limits.idle and limits.has_dask):
        return None
    why = f"no client, task or session for {in_words(limits.idle)}"
    return ShutdownTimer("idle", limits.idle, history.last_used + limits.idle - seen.now, activity(seen), why)


def _lost(limits: Limits, history: History, seen: Observation) -> ShutdownTimer | None:
    limit = _contact_limit(limits, has_joined=history.has_joined)
    if not limit:
        return None
    if limits.role == "head":
        why = f"no answer from the scheduler for {in_words(limit)}"
    elif history.has_joined:
        why = f"no connection to the head for {in_words(limit)}"
    else:
        why = f"it has not joined the cluster within {in_words(limit)}"
    name = "lost" if history.has_joined else "joining"
    held = "an SSH session is open" if seen.has_session else ""
    if seen.now < seen.extended_until:
        held = "it was extended"
    return ShutdownTimer(name, limit, history.last_connected + limit - seen.now, held, why)


def _contact_limit(limits: Limits, *, has_joined: bool) -> float:
    """Return how long the node may be without the scheduler or the head; 0 is for ever."""
    is_head = limits.role == "head"
    if is_head and not limits.has_dask:
        return 0.0
    if has_joined:
        return limits.lost
    if limits.keeps_failures:  # the failure is to be examined, for the lifetime
        return 0.0 if is_head else limits.lifetime
    return limits.joining
