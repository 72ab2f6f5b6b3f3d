"""EC2's operations on snapshots: describe, share, delete."""

import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID
from dask_bake.local.query_protocol import Refusal, Request

ACTIONS = frozenset({"DeleteSnapshot", "DescribeSnapshots", "ModifySnapshotAttribute"})


class SnapshotApi:
    """The operations on the snapshots of the account's images."""

    def __init__(self, ec2: MotoEc2) -> None:
        self._ec2 = ec2

    def answer(self, request: Request, ask_moto: Callable[[], Response]) -> Response:
        """Return the response to one of ``ACTIONS``."""
        match request.action:
            case "DeleteSnapshot":
                return self._delete(request, ask_moto)
            case "ModifySnapshotAttribute":
                return self._modify(request, ask_moto)
        _filter_by_owner(request)
        return ask_moto()

    def _known(self, request: Request) -> Any:
        snapshot_id = request.parameters.get("SnapshotId", "")
        snapshot = self._ec2.images.snapshot(request.region, snapshot_id)
        if snapshot is None:
            raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        return snapshot

    def _delete(self, request: Request, ask_moto: Callable[[], Response]) -> Response:
        snapshot = self._known(request)
        answer = ask_moto()  # which refuses if an image needs the snapshot
        if answer.status_code == 200:
            self._ec2.images.remove_snapshot(request.region, snapshot.id)
        return answer

    def _modify(self, request: Request, ask_moto: Callable[[], Response]) -> Response:
        snapshot = self._known(request)
        _flatten_permissions(request)
        if request.parameters.get("OperationType") == "add":
            _refuse_to_share(snapshot, everybody=bool(request.ids("UserGroup")))
        answer = ask_moto()
        if answer.status_code == 200:
            self._ec2.images.save(request.region, snapshot.id)
        return answer


def _refuse_to_share(snapshot: Any, *, everybody: bool) -> None:
    if getattr(snapshot, "has_own_key", False):
        raise Refusal(
            "OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared", 400
        )
    if everybody and snapshot.encrypted:
        raise Refusal("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly", 400)


def _flatten_permissions(request: Request) -> None:
    """Rewrite the newer form of the parameters as the older one, which moto reads."""
    operations = set()
    for name in tuple(request.parameters):
        match = re.fullmatch(r"CreateVolumePermission\.(Add|Remove)\.(\d+)\.(UserId|Group)", name)
        if match:
            operation, number, kind = match.groups()
            operations.add(operation.lower())
            kind = "UserGroup" if kind == "Group" else kind
            request.parameters[f"{kind}.{number}"] = request.parameters.pop(name)
    if len(operations) > 1:
        raise Refusal("InvalidParameterCombination", "Add and remove permissions in one call each.")
    if operations:
        request.parameters["OperationType"] = operations.pop()


def _filter_by_owner(request: Request) -> None:
    """Rewrite ``OwnerIds``, which moto ignores, as a filter, which it reads."""
    owners = request.ids("Owner")
    if owners:
        numbers = (re.match(r"Filter\.(\d+)\.", name) for name in request.parameters)
        number = 1 + max((int(match[1]) for match in numbers if match), default=0)
        request.parameters[f"Filter.{number}.Name"] = "owner-id"
        for index, owner in enumerate(owners, start=1):
            value = DEFAULT_ACCOUNT_ID if owner == "self" else owner
            request.parameters[f"Filter.{number}.Value.{index}"] = value
