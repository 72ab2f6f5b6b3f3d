"""The IAM actions that a request needs: its operation, and what EC2 does implicitly for it."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.handlers import BUILTIN_HANDLERS

from dask_bake.iam.grants import GRANTS, Need

PACKER = frozenset(
    f"ec2:{operation}"
    for operation in (
        "CreateImage",
        "CreateTags",
        "DescribeImages",
        "DescribeInstances",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVolumes",
        "RunInstances",
        "StopInstances",
        "TerminateInstances",
    )
)
"""Actions that Packer 1.6.6 needs for our template; an integration test compares them with a build."""
PACKER_ON_AWS = frozenset({"ec2:DescribeRegions"})
"""Needed unless the template skips validation of the region, as in the local cloud."""
PACKER_NEWER = frozenset({"ec2:DescribeInstanceStatus"})
"""Needed by the plugin of Packer 1.7 and newer to wait for an instance."""
TAG = re.compile(r"TagSpecification\.\d+\.ResourceType")


@dataclass(frozen=True)
class RecordedRequest:
    """A request; EC2's parameters have their names of the wire."""

    service: str
    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def actions(self) -> frozenset[str]:
        """The actions that a policy has to allow for the request."""
        names = set(self.parameters)
        because = {
            "ec2:CreateTags": any(map(TAG.fullmatch, names)),
            "iam:PassRole": any(self.parameters.get(f"IamInstanceProfile.{by}") for by in ("Arn", "Name")),
            "iam:CreateServiceLinkedRole": self.parameters.get("InstanceMarketOptions.MarketType") == "spot",
        }
        return frozenset(
            {f"{self.service}:{self.operation}", *(each for each, is_so in because.items() if is_so)}
        )

    def tagged(self, kind: str) -> dict[str, str]:
        """Return the tags that the request puts on resources of that kind."""
        for name, value in self.parameters.items():
            if TAG.fullmatch(name) and value == kind:
                tag = name.removesuffix("ResourceType") + "Tag"
                pairs = [
                    each for each in self.parameters if re.fullmatch(rf"{re.escape(tag)}\.\d+\.Key", each)
                ]
                return {
                    self.parameters[key]: self.parameters[key.removesuffix("Key") + "Value"] for key in pairs
                }
        return {}


@contextmanager
def recording() -> Iterator[list[RecordedRequest]]:
    """Record every request of the boto3 clients created in this context, whether it succeeds or not."""
    requests: list[RecordedRequest] = []

    def note(model: Any, params: Mapping[str, Any], **_: Any) -> None:
        body = params["body"]
        parameters = {key: str(value) for key, value in body.items()} if isinstance(body, dict) else {}
        requests.append(RecordedRequest(model.service_model.signing_name, model.name, parameters))

    handler = ("before-call", note)
    BUILTIN_HANDLERS.append(handler)
    try:
        yield requests
    finally:
        BUILTIN_HANDLERS.remove(handler)


def needed(requests: Collection[RecordedRequest]) -> set[str]:
    """Return the actions that a policy has to allow for all the requests; AWS allows one to everybody."""
    return {action for each in requests for action in each.actions} - {"sts:GetCallerIdentity"}


def permitted(*needs: Need) -> set[str]:
    """Return the actions that the policy for these needs allows."""
    return {action for grant in GRANTS if set(needs) & set(grant.needs) for action in grant.actions}
