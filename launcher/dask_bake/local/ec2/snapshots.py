"""EC2's operations on snapshots, as EC2 answers them."""

import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID
from dask_bake.local.query_protocol import Call, Refusal

ACTIONS = frozenset({"DeleteSnapshot", "DescribeSnapshots", "ModifySnapshotAttribute"})


class SnapshotApi:
    """Finds, shares and removes the snapshots of the account's images."""

    def __init__(self, ec2: MotoEc2) -> None:
        self._ec2 = ec2

    def answer(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        """The answer to one of ``ACTIONS``."""
        match call.action:
            case "DeleteSnapshot":
                return self._delete(call, ask_moto)
            case "ModifySnapshotAttribute":
                return self._modify(call, ask_moto)
        _filter_by_owner(call)
        return ask_moto()

    def _known(self, call: Call) -> Any:
        snapshot_id = call.parameters.get("SnapshotId", "")
        snapshot = self._ec2.images.snapshot(call.region, snapshot_id)
        if snapshot is None:
            raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        return snapshot

    def _delete(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        snapshot = self._known(call)
        answer = ask_moto()  # and that refuses if an image needs it
        if answer.status_code == 200:
            self._ec2.images.forget_snapshot(call.region, snapshot.id)
        return answer

    def _modify(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        snapshot = self._known(call)
        _flatten_permissions(call)
        if call.parameters.get("OperationType") == "add":
            _refuse_to_share(snapshot, everybody=bool(call.ids("UserGroup")))
        answer = ask_moto()
        if answer.status_code == 200:
            self._ec2.images.keep(call.region, snapshot.id)
        return answer


def _refuse_to_share(snapshot: Any, *, everybody: bool) -> None:
    if getattr(snapshot, "has_own_key", False):
        raise Refusal(
            "OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared", 400
        )
    if everybody and snapshot.encrypted:
        raise Refusal("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly", 400)


def _flatten_permissions(call: Call) -> None:
    """The newer way to say it as the older one, which is all that moto reads."""
    operations = set()
    for name in tuple(call.parameters):
        match = re.fullmatch(r"CreateVolumePermission\.(Add|Remove)\.(\d+)\.(UserId|Group)", name)
        if match:
            operation, number, kind = match.groups()
            operations.add(operation.lower())
            kind = "UserGroup" if kind == "Group" else kind
            call.parameters[f"{kind}.{number}"] = call.parameters.pop(name)
    if len(operations) > 1:
        raise Refusal("InvalidParameterCombination", "Add and remove permissions in one call each.")
    if operations:
        call.parameters["OperationType"] = operations.pop()


def _filter_by_owner(call: Call) -> None:
    """``OwnerIds``, which moto does not read, as the filter, which it does."""
    owners = call.ids("Owner")
    if owners:
        numbers = (re.match(r"Filter\.(\d+)\.", name) for name in call.parameters)
        number = 1 + max((int(match[1]) for match in numbers if match), default=0)
        call.parameters[f"Filter.{number}.Name"] = "owner-id"
        for index, owner in enumerate(owners, start=1):
            value = DEFAULT_ACCOUNT_ID if owner == "self" else owner
            call.parameters[f"Filter.{number}.Value.{index}"] = value
