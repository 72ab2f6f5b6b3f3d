"""Dry run of a plan: its EC2 calls, and EC2's answer whether they are permitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dask_bake.clusters.naming import member_rule
from dask_bake.ec2 import requests
from dask_bake.ec2.protocols import LaunchQueries
from dask_bake.errors import BakeError
from dask_bake.launch.plan import UNKNOWN_GROUP, UNKNOWN_HEAD_GROUP, LaunchPlan
from dask_bake.models.ec2 import Rule
from dask_bake.system.concurrency import gather

NOT_ASKED = "not asked: there is no group yet"
NOT_CERTAIN = "not certain: asked with the VPC's default group"
"""A policy may permit instances in the cluster's own groups only, as that of ``iam-policy`` does."""


@dataclass(frozen=True)
class PlannedCall:
    """An EC2 call of a launch, with its parameters."""

    operation: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Permission:
    """EC2's answer about a call; ``allowed`` is ``None`` if it is neither yes nor no.

    ``why`` is the reason for that, or how to get a permission that is missing.
    """

    operation: str
    what: str
    allowed: bool | None
    why: str = ""


def planned_calls(plan: LaunchPlan) -> tuple[PlannedCall, ...]:
    """Return the calls for a cluster on the first candidate; unknown ids and addresses are placeholders."""
    candidate = plan.first
    made = _group_calls(plan, plan.group_name, UNKNOWN_GROUP, (member_rule(UNKNOWN_GROUP),))
    if plan.head_rules:
        made += _group_calls(plan, plan.head_group_name, UNKNOWN_HEAD_GROUP, plan.head_rules)
    if plan.own_key_name:
        request = requests.import_key_pair(
            plan.own_key_name, public_key=plan.bootstrap.public_key, tags=plan.group_tags
        )
        made.append(PlannedCall("ImportKeyPair", request))
    groups = (UNKNOWN_GROUP, UNKNOWN_HEAD_GROUP) if plan.head_rules else (UNKNOWN_GROUP,)
    head = plan.head(candidate, candidate.head_types[0], groups)
    workers = plan.workers(candidate, candidate.worker_types[0])
    return (
        *made,
        PlannedCall("RunInstances", requests.run_instances(head)),
        PlannedCall("RunInstances", requests.run_instances(workers)),
    )


def _group_calls(plan: LaunchPlan, name: str, group_id: str, rules: Sequence[Rule]) -> list[PlannedCall]:
    return [
        PlannedCall("CreateSecurityGroup", plan.create_group(name, plan.first)),
        PlannedCall("AuthorizeSecurityGroupIngress", requests.authorize(group_id, rules)),
    ]


def ask_permissions(plan: LaunchPlan, ec2: LaunchQueries) -> tuple[Permission, ...]:
    """Return EC2's answer about each call that the plan makes for its first candidate."""
    candidate = plan.first
    head = requests.run_instances(plan.head(candidate, candidate.head_types[0], ()))
    workers = requests.run_instances(plan.workers(candidate, candidate.worker_types[0], groups=()))
    group = plan.create_group(plan.group_name, candidate)
    questions: list[tuple[str, str, Mapping[str, Any]]] = [("CreateSecurityGroup", "its group", group)]
    if plan.own_key_name is not None:
        key = requests.import_key_pair(
            plan.own_key_name, public_key=plan.bootstrap.public_key, tags=plan.group_tags
        )
        questions.append(("ImportKeyPair", "its key", key))
    questions += [
        ("RunInstances", "the head", _of_what_is_there(plan, head)),
        ("RunInstances", "the workers", _of_what_is_there(plan, workers)),
    ]
    answers = gather(*(partial(_ask, ec2, *question) for question in questions))
    rules = Permission("AuthorizeSecurityGroupIngress", "its group", None, NOT_ASKED)
    return (answers[0], rules, *answers[1:])


def check_permissions(permissions: Sequence[Permission]) -> None:
    """Raise an error that names the calls that the credentials do not permit."""
    denied = [each for each in permissions if each.allowed is False]
    if denied:
        missing = ", ".join(f"ec2:{each.operation} for {each.what}" for each in denied)
        hints = dict.fromkeys(each.why for each in denied)
        raise BakeError(f"these AWS credentials may not call {missing}", hint="; ".join(hints))


def _of_what_is_there(plan: LaunchPlan, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request without resources that the launch creates first: EC2 would not find them.

    The client token is left out too.
    """
    made = {"ClientToken"} | ({"KeyName"} if plan.own_key_name is not None else set())
    interfaces = [
        {key: value for key, value in each.items() if key != "Groups" or value}
        for each in request["NetworkInterfaces"]
    ]
    kept = {key: value for key, value in request.items() if key not in made}
    return {**kept, "NetworkInterfaces": interfaces}


def _ask(ec2: LaunchQueries, operation: str, what: str, request: Mapping[str, Any]) -> Permission:
    try:
        denial = ec2.denial(operation, request)
        if denial is not None and any("Groups" not in each for each in request.get("NetworkInterfaces", ())):
            return Permission(operation, what, None, NOT_CERTAIN)
        why = "" if denial is None else denial.hint or ""
        return Permission(operation, what, denial is None, why)
    except BakeError as error:
        return Permission(operation, what, None, error.message)
