"""Whether the caller may do what a plan would do: EC2 is asked, and makes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dask_bake.ec2 import requests
from dask_bake.ec2.protocols import LookUps
from dask_bake.errors import BakeError
from dask_bake.launch.plan import LaunchPlan
from dask_bake.system.concurrency import together

NOT_ASKED = "not asked: there is no group yet"
NOT_CERTAIN = "not certain: asked with the VPC's default group"
"""A policy may well permit instances in the cluster's own groups alone, as the printed one does."""


@dataclass(frozen=True)
class Permission:
    """What EC2 says of a call; ``allowed`` is ``None`` where it says neither yes nor no."""

    operation: str
    what: str
    allowed: bool | None
    why: str = ""


def ask(plan: LaunchPlan, ec2: LookUps) -> tuple[Permission, ...]:
    """What EC2 says of each call that the plan would make first."""
    place = plan.first
    head = requests.run_instances(plan.head(place, place.head_types[0], ()))
    workers = requests.run_instances(plan.workers(place, place.worker_types[0], groups=()))
    group = plan.create_group(plan.group_name, place)
    questions: list[tuple[str, str, Mapping[str, Any]]] = [("CreateSecurityGroup", "its group", group)]
    if plan.own_key_name is not None:
        key = requests.import_key_pair(
            plan.own_key_name, public_key=plan.handout.public_key, tags=plan.group_tags
        )
        questions.append(("ImportKeyPair", "its key", key))
    questions += [
        ("RunInstances", "the head", _of_what_is_there(plan, head)),
        ("RunInstances", "the workers", _of_what_is_there(plan, workers)),
    ]
    answers = together(*(partial(_ask, ec2, *question) for question in questions))
    rules = Permission("AuthorizeSecurityGroupIngress", "its group", None, NOT_ASKED)
    return (answers[0], rules, *answers[1:])


def check(permissions: Sequence[Permission]) -> None:
    """Raises an error that names what the caller may not do."""
    missing = [f"ec2:{each.operation} for {each.what}" for each in permissions if each.allowed is False]
    if missing:
        raise BakeError(
            f"these AWS credentials may not call {', '.join(missing)}",
            hint="ask for that permission: dask-bake iam-policy prints all that it takes",
        )


def _of_what_is_there(plan: LaunchPlan, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request to run instances without what the launch would make before, which EC2 would not find."""
    made = {"ClientToken"} | ({"KeyName"} if plan.own_key_name is not None else set())
    interfaces = [
        {key: value for key, value in each.items() if key != "Groups" or value}
        for each in request["NetworkInterfaces"]
    ]
    kept = {key: value for key, value in request.items() if key not in made}
    return {**kept, "NetworkInterfaces": interfaces}


def _ask(ec2: LookUps, operation: str, what: str, request: Mapping[str, Any]) -> Permission:
    try:
        allowed = ec2.may(operation, request)
        if not allowed and any("Groups" not in each for each in request.get("NetworkInterfaces", ())):
            return Permission(operation, what, None, NOT_CERTAIN)
        return Permission(operation, what, allowed)
    except BakeError as error:
        return Permission(operation, what, None, error.message)
