"""Placement groups, which moto does not have: created, described, deleted, checked by launches."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.instance_types import placement_strategies
from dask_bake.local.query_protocol import Refusal, Request, filters_of, items

STRATEGIES = ("cluster", "partition", "spread")


@dataclass(frozen=True)
class LocalPlacementGroup:
    """A placement group."""

    id: str
    name: str
    strategy: str
    partitions: int | None


class PlacementGroups:
    """The placement groups of all regions."""

    def __init__(self, ec2: MotoEc2) -> None:
        self._ec2 = ec2
        self._groups: dict[tuple[str, str], LocalPlacementGroup] = {}

    @property
    def actions(self) -> dict[str, Callable[[Request], Response]]:
        """Return the operations by the names of their actions."""
        return {
            "CreatePlacementGroup": self._create,
            "DescribePlacementGroups": self._describe,
            "DeletePlacementGroup": self._delete,
        }

    def named(self, region: str, name: str) -> LocalPlacementGroup:
        """Return the placement group with that name.

        Raises:
            Refusal: when there is none.
        """
        if (region, name) not in self._groups:
            raise Refusal("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
        return self._groups[region, name]

    def of_launch(self, request: Request, instance_type: str) -> LocalPlacementGroup | None:
        """Return the placement group that RunInstances names, or None.

        Raises:
            Refusal: when it does not exist, or does not support the instance type.
        """
        parameters = request.parameters
        name, group_id = (parameters.get(f"Placement.{key}") for key in ("GroupName", "GroupId"))
        if group_id is not None:
            name = next((group.name for group in self._groups.values() if group.id == group_id), group_id)
        if name is None:
            return None
        group = self.named(request.region, name)
        if group.strategy not in placement_strategies(instance_type):
            raise Refusal(
                "InvalidParameterCombination",
                f"{group.strategy.capitalize()} placement groups are not supported by the '{instance_type}' "
                "instance type. Specify a supported instance type or change the placement group strategy, "
                "and try again.",
            )
        return group

    def _create(self, request: Request) -> Response:
        name = request.parameters.get("GroupName", "")
        strategy = request.parameters.get("Strategy", "cluster")
        if not name:
            raise Refusal("MissingParameter", "The request must contain the parameter GroupName")
        if strategy not in STRATEGIES:
            raise Refusal("InvalidParameterValue", f"Invalid placement group strategy: {strategy}")
        request.end_dry_run()
        if (request.region, name) in self._groups:
            raise Refusal("InvalidPlacementGroup.Duplicate", f"The placement group '{name}' already exists.")
        partitions = int(request.parameters.get("PartitionCount", "2")) if strategy == "partition" else None
        group = LocalPlacementGroup(f"pg-{secrets.token_hex(8)}0", name, strategy, partitions)
        self._groups[request.region, name] = group
        self._ec2.region(request.region).create_tags([group.id], request.take_tags("placement-group"))
        return request.answer(
            f"<return>true</return><placementGroup>{self._item(request, group)}</placementGroup>"
        )

    def _describe(self, request: Request) -> Response:
        ids, names = request.ids("GroupId"), request.ids("GroupName")
        here = [group for (region, _), group in self._groups.items() if region == request.region]
        for group_id in ids:
            if group_id not in [group.id for group in here]:
                raise Refusal("InvalidPlacementGroupId.Unknown", f"The id '{group_id}' is unknown.")
        wanted = [self.named(request.region, name) for name in names] or here
        found = [group for group in wanted if not ids or group.id in ids]
        matching = [group for group in found if self._matches(request, group)]
        listed = "".join(f"<item>{self._item(request, group)}</item>" for group in matching)
        return request.answer(f"<placementGroupSet>{listed}</placementGroupSet>")

    def _delete(self, request: Request) -> Response:
        group = self.named(request.region, request.parameters.get("GroupName", ""))
        request.end_dry_run()
        if any(
            instance.placement.group_name == group.name and instance.region_name == request.region
            for instance in self._ec2.instances.all()
            if instance.state != "terminated"
        ):
            raise Refusal(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{group.name}' is in use and may not be deleted.",
            )
        del self._groups[request.region, group.name]
        self._ec2.region(request.region).tags.pop(group.id, None)
        return request.answer()

    def _matches(self, request: Request, group: LocalPlacementGroup) -> bool:
        properties = {"group-name": group.name, "strategy": group.strategy, "state": "available"}
        return filters_of(request).match(properties, self._tags(request, group))

    def _tags(self, request: Request, group: LocalPlacementGroup) -> dict[str, str]:
        return dict(self._ec2.region(request.region).tags.get(group.id, {}))

    def _item(self, request: Request, group: LocalPlacementGroup) -> str:
        properties = {"groupName": group.name, "groupId": group.id, "strategy": group.strategy}
        arn = f"arn:aws:ec2:{request.region}:{self._ec2.account}:placement-group/{group.name}"
        count = {"partitionCount": str(group.partitions)} if group.partitions else {}
        tags = [{"key": key, "value": value} for key, value in self._tags(request, group).items()]
        return items({**properties, **count, "state": "available", "groupArn": arn, "tagSet": tags})
