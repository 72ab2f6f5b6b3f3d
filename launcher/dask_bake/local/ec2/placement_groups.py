"""Placement groups: kept and told, for moto has none; every instance is on this one machine anyway."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.instance_types import placement_strategies
from dask_bake.local.query_protocol import Call, Refusal, filters_of, items

STRATEGIES = ("cluster", "partition", "spread")


@dataclass(frozen=True)
class PlacementGroup:
    """A placement group."""

    id: str
    name: str
    strategy: str
    partitions: int | None


class PlacementGroups:
    """The placement groups of all regions."""

    def __init__(self, ec2: MotoEc2) -> None:
        self._ec2 = ec2
        self._groups: dict[tuple[str, str], PlacementGroup] = {}

    @property
    def actions(self) -> dict[str, Callable[[Call], Response]]:
        """What is answered here."""
        return {
            "CreatePlacementGroup": self._create,
            "DescribePlacementGroups": self._describe,
            "DeletePlacementGroup": self._delete,
        }

    def named(self, region: str, name: str) -> PlacementGroup:
        """The placement group with that name.

        Raises:
            Refusal: when there is none.
        """
        if (region, name) not in self._groups:
            raise Refusal("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
        return self._groups[region, name]

    def of_launch(self, call: Call, instance_type: str) -> PlacementGroup | None:
        """The placement group that RunInstances names.

        Raises:
            Refusal: when there is none, or it does not take the instance type.
        """
        parameters = call.parameters
        name, group_id = (parameters.get(f"Placement.{key}") for key in ("GroupName", "GroupId"))
        if group_id is not None:
            name = next((group.name for group in self._groups.values() if group.id == group_id), group_id)
        if name is None:
            return None
        group = self.named(call.region, name)
        if group.strategy not in placement_strategies(instance_type):
            raise Refusal(
                "InvalidParameterCombination",
                f"{group.strategy.capitalize()} placement groups are not supported by the '{instance_type}' "
                "instance type. Specify a supported instance type or change the placement group strategy, "
                "and try again.",
            )
        return group

    def _create(self, call: Call) -> Response:
        name = call.parameters.get("GroupName", "")
        strategy = call.parameters.get("Strategy", "cluster")
        if not name:
            raise Refusal("MissingParameter", "The request must contain the parameter GroupName")
        if strategy not in STRATEGIES:
            raise Refusal("InvalidParameterValue", f"Invalid placement group strategy: {strategy}")
        call.refuse_dry_run()
        if (call.region, name) in self._groups:
            raise Refusal("InvalidPlacementGroup.Duplicate", f"The placement group '{name}' already exists.")
        partitions = int(call.parameters.get("PartitionCount", "2")) if strategy == "partition" else None
        group = PlacementGroup(f"pg-{secrets.token_hex(8)}0", name, strategy, partitions)
        self._groups[call.region, name] = group
        self._ec2.region(call.region).create_tags([group.id], call.take_tags("placement-group"))
        return call.answer(f"<return>true</return><placementGroup>{self._told(call, group)}</placementGroup>")

    def _describe(self, call: Call) -> Response:
        ids, names = call.ids("GroupId"), call.ids("GroupName")
        here = [group for (region, _), group in self._groups.items() if region == call.region]
        for group_id in ids:
            if group_id not in [group.id for group in here]:
                raise Refusal("InvalidPlacementGroupId.Unknown", f"The id '{group_id}' is unknown.")
        wanted = [self.named(call.region, name) for name in names] or here
        found = [group for group in wanted if not ids or group.id in ids]
        matching = [group for group in found if self._matches(call, group)]
        told = "".join(f"<item>{self._told(call, group)}</item>" for group in matching)
        return call.answer(f"<placementGroupSet>{told}</placementGroupSet>")

    def _delete(self, call: Call) -> Response:
        group = self.named(call.region, call.parameters.get("GroupName", ""))
        call.refuse_dry_run()
        if any(
            instance.placement.group_name == group.name and instance.region_name == call.region
            for instance in self._ec2.instances.all()
            if instance.state != "terminated"
        ):
            raise Refusal(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{group.name}' is in use and may not be deleted.",
            )
        del self._groups[call.region, group.name]
        self._ec2.region(call.region).tags.pop(group.id, None)
        return call.answer()

    def _matches(self, call: Call, group: PlacementGroup) -> bool:
        facts = {"group-name": group.name, "strategy": group.strategy, "state": "available"}
        return filters_of(call).match(facts, self._tags(call, group))

    def _tags(self, call: Call, group: PlacementGroup) -> dict[str, str]:
        return dict(self._ec2.region(call.region).tags.get(group.id, {}))

    def _told(self, call: Call, group: PlacementGroup) -> str:
        facts = {"groupName": group.name, "groupId": group.id, "strategy": group.strategy}
        arn = f"arn:aws:ec2:{call.region}:{self._ec2.account}:placement-group/{group.name}"
        count = {"partitionCount": str(group.partitions)} if group.partitions else {}
        tags = [{"key": key, "value": value} for key, value in self._tags(call, group).items()]
        return items({**facts, **count, "state": "available", "groupArn": arn, "tagSet": tags})
