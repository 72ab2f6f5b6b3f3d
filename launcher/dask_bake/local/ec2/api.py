"""EC2's operations as EC2 answers them: moto's answers, given what moto lacks before and after.

Sources for what EC2 does: its API reference, per operation.
"""

import base64
import io
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.ec2.connect_endpoints import ConnectEndpoints
from dask_bake.local.ec2.describe_instances import describe_instances
from dask_bake.local.ec2.hooks import Ec2Rules
from dask_bake.local.ec2.images import ACTIONS as IMAGE_ACTIONS
from dask_bake.local.ec2.images import ImageApi
from dask_bake.local.ec2.placement_groups import PlacementGroups
from dask_bake.local.ec2.run_instances.capacity import in_zone
from dask_bake.local.ec2.run_instances.instance_faults import Fates
from dask_bake.local.ec2.run_instances.launch import Launches
from dask_bake.local.ec2.run_instances.lookup import find_place
from dask_bake.local.ec2.run_instances.quotas import Quotas
from dask_bake.local.ec2.snapshots import ACTIONS as SNAPSHOT_ACTIONS
from dask_bake.local.ec2.snapshots import SnapshotApi
from dask_bake.local.ec2.spot_requests import SpotRequests
from dask_bake.local.ec2.validation.parameters import check_choices, check_ids
from dask_bake.local.ec2.validation.tags import check_tags
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Call, Refusal

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass
class Troubles:
    """What the local cloud can be told to have, or to have too little of."""

    rules: FaultRules = field(default_factory=FaultRules)
    quotas: Quotas = field(default_factory=Quotas)


class Ec2Api:
    """Answers EC2's requests one at a time: before, in and after moto is one step to everybody."""

    def __init__(
        self,
        moto: WsgiApp,
        ec2: MotoEc2,
        hypervisor: Hypervisor,
        *,
        troubles: Troubles | None = None,
        follow: Callable[[], None] = lambda: None,
    ) -> None:
        self._moto = moto
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._follow = follow
        self.troubles = troubles or Troubles()
        self.fates = Fates(ec2.instances, hypervisor, follow)
        groups = PlacementGroups(ec2)
        rules, quotas = self.troubles.rules, self.troubles.quotas
        self._launches = Launches(ec2, hypervisor, self.fates, rules, quotas, groups)
        self._records = {**groups.actions, **ConnectEndpoints(ec2).actions, **SpotRequests(ec2).actions}
        self._rules = Ec2Rules(ec2, hypervisor)
        self._images = ImageApi(ec2, hypervisor)
        self._snapshots = SnapshotApi(ec2)
        self._one_at_a_time = threading.Lock()

    def answer(self, call: Call, environ: dict[str, Any]) -> Response:
        """The answer to one request."""
        try:
            with self._one_at_a_time:
                self._ec2.region(call.region)
                for check in (check_ids, check_choices, check_tags):
                    check(call)
                hidden = self._ec2.instances.hidden()
                _refuse_hidden(call, hidden)
                if call.action == "DescribeInstances":
                    return describe_instances(call, self._ec2, hidden)
                answer = self._act(call, partial(self._ask_moto, environ))
                if not call.action.startswith(("Describe", "Get")):
                    self._follow()  # security groups, their rules or their members may be others now
                return answer
        except Refusal as refusal:
            return refusal.response()
        except BakeError as error:
            return Refusal("Unavailable", error.message, 503).response()

    def fault_parameters(self, call: Call) -> Mapping[str, str]:
        """What a fault rule can ask of a request: its parameters, and of a launch where it goes."""
        if call.action != "RunInstances":
            return call.parameters
        try:
            with self._one_at_a_time:
                place = find_place(call, self._ec2)
        except Refusal:
            return call.parameters
        return in_zone(call, place.zone, place.subnet.id)

    def _ask_moto(self, environ: dict[str, Any], call: Call) -> Response:
        body = urlencode(call.parameters).encode()
        environ = {
            **environ,
            "REQUEST_METHOD": "POST",
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        chunks, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
        return Response(b"".join(chunks), status=status, headers=headers)

    def _act(self, call: Call, ask_moto: Callable[[Call], Response]) -> Response:
        match call.action:
            case "RunInstances":
                return self._launches.run(call, ask_moto)
            case "GetConsoleOutput":
                return self._console_output(call)
            case action if action in self._records:
                return self._records[action](call)
            case action if action in IMAGE_ACTIONS:
                return self._images.answer(call, partial(ask_moto, call))
            case action if action in SNAPSHOT_ACTIONS:
                return self._snapshots.answer(call, partial(ask_moto, call))
        self._rules.before(call)
        answer = ask_moto(call)
        if answer.status_code == 200:
            self._rules.after(call)
        return answer

    def _console_output(self, call: Call) -> Response:
        instance_id = call.parameters.get("InstanceId", "")
        if self._ec2.instances.get(instance_id) is None:
            raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        output = base64.b64encode(self._hypervisor.slots.console(instance_id)).decode()
        return call.answer(
            f"<instanceId>{instance_id}</instanceId><timestamp>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</timestamp>"
            f"<output>{output}</output>"
        )


def _refuse_hidden(call: Call, hidden: frozenset[str]) -> None:
    """Raises when the request names an instance that is not found yet."""
    for instance_id in hidden & frozenset(call.parameters.values()):
        raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
