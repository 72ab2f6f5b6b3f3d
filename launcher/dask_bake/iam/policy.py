"""Minimal IAM policies for purposes and options."""

import json
from collections.abc import Collection, Iterator
from typing import Any

from dask_bake.iam.grants import ACCOUNT, GRANTS, KEY, ROLE, Condition, Grant, Need

VERSION = "2012-10-17"
POLICY_LIMIT = 6144
"""Characters without white space in a managed policy (IAM and STS quotas)."""


def policy(needs: Collection[Need], *, account: str = ACCOUNT) -> dict[str, Any]:
    """Return the policy document with exactly the permissions that the needs require."""
    chosen = [grant for grant in GRANTS if not set(needs).isdisjoint(grant.needs)]
    sids = dict.fromkeys(grant.sid for grant in chosen)
    statements = [_statement([grant for grant in chosen if grant.sid == sid], account) for sid in sids]
    return {"Version": VERSION, "Statement": statements}


def render(needs: Collection[Need], account: str = ACCOUNT) -> str:
    """Return the policy as JSON text."""
    return json.dumps(policy(needs, account=account), indent=2)


def notes(text: str) -> Iterator[str]:
    """Yield notes on what to fill in before the printed policy can be used."""
    if f":{ACCOUNT}:" in text:
        yield f"Replace {ACCOUNT} by your account number, or pass --account."
    if f":role/{ROLE}" in text:
        yield f"Replace {ROLE} by the name of the nodes' role: no other role can be passed."
    if f":key/{KEY}" in text:
        yield f"Replace {KEY} by the id of the KMS key that encrypts the images."
    size = len("".join(text.split()))
    if size > POLICY_LIMIT:
        yield f"It has {size} characters, IAM takes {POLICY_LIMIT} in a policy: print one for each purpose."


def _statement(grants: list[Grant], account: str) -> dict[str, Any]:
    first = grants[0]
    statement: dict[str, Any] = {
        "Sid": first.sid,
        "Effect": "Allow",
        "Action": list(dict.fromkeys(action for grant in grants for action in grant.actions)),
        "Resource": [resource.replace(ACCOUNT, account) for resource in first.resources],
    }
    if first.condition:
        statement["Condition"] = _filled(first.condition, account)
    return statement


def _filled(condition: Condition, account: str) -> dict[str, dict[str, str | list[str]]]:
    return {
        operator: {
            key: account if value == ACCOUNT else value if isinstance(value, str) else list(value)
            for key, value in wanted.items()
        }
        for operator, wanted in condition.items()
    }
