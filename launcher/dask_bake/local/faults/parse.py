"""Parse and validate the options of a fault; pure."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.local.faults.model import FOR_INSTANCES, METADATA, Fault, FaultKind

NEEDS_SECONDS = (FaultKind.DELAY, FaultKind.UNSEEN)
OPTION_KINDS: Mapping[str, frozenset[FaultKind]] = {
    "code": frozenset({FaultKind.ERROR, FaultKind.TERMINATED}),
    "status": frozenset({FaultKind.ERROR}),
    "message": frozenset({FaultKind.ERROR, FaultKind.TERMINATED}),
    "seconds": frozenset(
        {FaultKind.DELAY, FaultKind.UNSEEN, FaultKind.TERMINATED, FaultKind.SPOT_NOTICE, FaultKind.CUT}
    ),
    "notice": frozenset({FaultKind.SPOT_NOTICE}),
    "count": FOR_INSTANCES | {FaultKind.CAPACITY},
}
"""The kinds that an option is for; the options without an entry select requests and are for every kind."""
MAX_NUMBER = 2**32
NUMBERS = ("skip", "times", "seed", "status", "count")
AMOUNTS = ("chance", "seconds", "notice")


def parse_fault(options: Mapping[str, Any]) -> Fault:
    """Return the fault that the options describe.

    Raises:
        UsageError: when they describe none.
    """
    known = {field.name for field in fields(Fault)} - {"id"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise UsageError(f"a fault has no {unknown[0]!r}", hint=f"it has: {', '.join(sorted(known))}")
    kind = str(options.get("kind", ""))
    if kind not in set(FaultKind):
        raise UsageError(
            f"there is no fault of the kind {kind!r}", hint=f"use one of: {', '.join(FaultKind)}"
        )
    where = options.get("where", {})
    pairs = list(where.items()) if isinstance(where, Mapping) else where
    if not (
        isinstance(pairs, list) and all(isinstance(each, (list, tuple)) and len(each) == 2 for each in pairs)
    ):
        raise UsageError(f"a fault's 'where' is {where!r}", hint="use names of parameters and their values")
    fault = Fault(
        kind=FaultKind(kind),
        where=tuple((str(name), str(value)) for name, value in pairs),
        **_texts(options),
        **{name: _number(name, options[name], int) for name in NUMBERS if name in options},
        **{name: _number(name, options[name], float) for name in AMOUNTS if name in options},
    )
    for name, kinds in OPTION_KINDS.items():
        if name in options and fault.kind not in kinds:
            raise UsageError(
                f"a fault of the kind {fault.kind} has no {name!r}",
                hint=f"leave --{name} out; it is for {', '.join(sorted(kinds))}",
            )
    return _checked(fault, has_action="action" in options)


def _texts(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(options[name]) for name in ("action", "code", "message") if name in options}


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number <= MAX_NUMBER:
        whole = "a whole number" if kind is int else "a number"
        raise UsageError(f"a fault's {name!r} is {value!r}", hint=f"use {whole} that is not negative")
    return number


def _checked(fault: Fault, *, has_action: bool) -> Fault:
    if fault.chance > 1:
        raise UsageError(f"a fault's 'chance' is {fault.chance:g}", hint="use a probability, 0 to 1")
    if fault.kind in NEEDS_SECONDS and not fault.seconds:
        raise UsageError(
            f"a fault of the kind {fault.kind} has a duration of 0 s", hint="set the duration with --seconds"
        )
    if fault.status and not 100 <= fault.status <= 599:
        raise UsageError(f"a fault's 'status' is {fault.status}", hint="use an HTTP status, 100 to 599")
    if fault.kind in FOR_INSTANCES | {FaultKind.CAPACITY}:
        if has_action and fault.action != "RunInstances":
            raise UsageError(
                f"a fault of the kind {fault.kind} is for RunInstances, not for {fault.action!r}",
                hint="leave --action out",
            )
        return replace(fault, action="RunInstances")
    if fault.action == METADATA and fault.kind not in (FaultKind.ERROR, FaultKind.DELAY):
        raise UsageError(
            f"a metadata request cannot have a fault of the kind {fault.kind}",
            hint="use error or delay",
        )
    if fault.action == METADATA and (fault.code or fault.message):
        raise UsageError(
            "the metadata service has no error codes or messages", hint="use --status, such as 401 or 404"
        )
    return fault
