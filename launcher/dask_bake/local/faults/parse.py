"""A rule of faults as somebody says it, checked before it is in force; pure."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.local.faults.model import METADATA, OF_INSTANCES, Fault, Kind

NEEDS_SECONDS = (Kind.DELAY, Kind.UNSEEN)
MEANT_FOR: Mapping[str, frozenset[Kind]] = {
    "code": frozenset({Kind.ERROR, Kind.TERMINATED}),
    "status": frozenset({Kind.ERROR}),
    "message": frozenset({Kind.ERROR, Kind.TERMINATED}),
    "seconds": frozenset({Kind.DELAY, Kind.UNSEEN, Kind.TERMINATED, Kind.SPOT_NOTICE, Kind.CUT}),
    "notice": frozenset({Kind.SPOT_NOTICE}),
    "count": OF_INSTANCES | {Kind.CAPACITY},
}
"""The kinds to which a part of a rule says something; the other parts say which requests it is for."""
LARGEST = 2**32
NUMBERS = ("skip", "times", "seed", "status", "count")
AMOUNTS = ("chance", "seconds", "notice")


def parse_fault(said: Mapping[str, Any]) -> Fault:
    """A rule from JSON.

    Raises:
        UsageError: when it is none.
    """
    known = {field.name for field in fields(Fault)} - {"id"}
    unknown = sorted(set(said) - known)
    if unknown:
        raise UsageError(f"A fault has no {unknown[0]!r}.", hint=f"It has: {', '.join(sorted(known))}.")
    kind = str(said.get("kind", ""))
    if kind not in set(Kind):
        raise UsageError(f"There is no fault of the kind {kind!r}.", hint=f"Use one of: {', '.join(Kind)}.")
    where = said.get("where", {})
    pairs = list(where.items()) if isinstance(where, Mapping) else where
    if not (
        isinstance(pairs, list) and all(isinstance(each, (list, tuple)) and len(each) == 2 for each in pairs)
    ):
        raise UsageError(f"A fault's 'where' is {where!r}.", hint="Use names of parameters and their values.")
    fault = Fault(
        kind=Kind(kind),
        where=tuple((str(name), str(value)) for name, value in pairs),
        **_texts(said),
        **{name: _number(name, said[name], int) for name in NUMBERS if name in said},
        **{name: _number(name, said[name], float) for name in AMOUNTS if name in said},
    )
    for name, kinds in MEANT_FOR.items():
        if name in said and fault.kind not in kinds:
            raise UsageError(
                f"A fault of the kind {fault.kind} has no {name!r}.",
                hint=f"Leave --{name} out; it is for {', '.join(sorted(kinds))}.",
            )
    return _checked(fault, action_said="action" in said)


def _texts(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(said[name]) for name in ("action", "code", "message") if name in said}


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number <= LARGEST:
        whole = "a whole number" if kind is int else "a number"
        raise UsageError(f"A fault's {name!r} is {value!r}.", hint=f"Use {whole} that is not negative.")
    return number


def _checked(fault: Fault, *, action_said: bool) -> Fault:
    if fault.chance > 1:
        raise UsageError(f"A fault's 'chance' is {fault.chance:g}.", hint="Use a probability, 0 to 1.")
    if fault.kind in NEEDS_SECONDS and not fault.seconds:
        raise UsageError(
            f"A fault of the kind {fault.kind} lasts no time.", hint="Say how long, with --seconds."
        )
    if fault.status and not 100 <= fault.status <= 599:
        raise UsageError(f"A fault's 'status' is {fault.status}.", hint="Use a status of HTTP, 100 to 599.")
    if fault.kind in OF_INSTANCES | {Kind.CAPACITY}:
        if action_said and fault.action != "RunInstances":
            raise UsageError(
                f"A fault of the kind {fault.kind} is for RunInstances, not for {fault.action!r}.",
                hint="Leave the action out.",
            )
        return replace(fault, action="RunInstances")
    if fault.action == METADATA and fault.kind not in (Kind.ERROR, Kind.DELAY):
        raise UsageError(
            f"A request for metadata cannot have a fault of the kind {fault.kind}.",
            hint="Use error or delay.",
        )
    if fault.action == METADATA and (fault.code or fault.message):
        raise UsageError(
            "The metadata service says nothing but a status.", hint="Use --status, such as 401 or 404."
        )
    return fault
