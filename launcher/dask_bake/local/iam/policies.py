"""Evaluation of IAM policies for one action on one resource.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

Policy = Mapping[str, Any]
OPERATORS = ("StringEquals", "StringLike")
"""Operators of the conditions that are evaluated."""


def decision(
    policies: Iterable[Policy], action: str, resource: str, context: Mapping[str, str]
) -> bool | None:
    """Return whether the policies allow or deny the action; None if they say neither, which refuses it.

    Args:
        context: values of condition keys, such as ``s3:prefix``.
    """
    found = None
    for policy in policies:
        for statement in _as_list(policy.get("Statement")):
            if not (isinstance(statement, Mapping) and _concerns(statement, action, resource)):
                continue
            condition = statement.get("Condition")
            if statement.get("Effect") == "Deny" and _holds(condition, context) is not False:
                return False
            if statement.get("Effect") == "Allow" and _holds(condition, context) is True:
                found = True
    return found


def _concerns(statement: Policy, action: str, resource: str) -> bool:
    for key, value, flags in (("Action", action, re.IGNORECASE), ("Resource", resource, 0)):
        if key in statement:
            if not _matches(statement[key], value, flags):
                return False
        elif f"Not{key}" not in statement or _matches(statement[f"Not{key}"], value, flags):
            return False
    return True


def _matches(patterns: Any, value: str, flags: int = 0) -> bool:
    return any(_regex(str(pattern), flags).fullmatch(value) for pattern in _as_list(patterns))


@cache
def _regex(pattern: str, flags: int) -> re.Pattern[str]:
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.compile("".join(parts), flags | re.DOTALL)


def _holds(condition: Any, context: Mapping[str, str]) -> bool | None:
    """Return whether a condition holds; None if it is not known how to evaluate it."""
    if not condition:
        return True
    results = []
    for operator, wanted in condition.items():
        if operator not in OPERATORS:
            return None
        for key, values in wanted.items():
            if key not in context:
                return None
            value = context[key]
            results.append(_matches(values, value) if operator == "StringLike" else value in _as_list(values))
    return all(results)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
