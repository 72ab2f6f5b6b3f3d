"""The EC2 API: dispatch of requests to operations of our own, or to moto with hooks before and after.

EC2's behaviour is taken from its API reference, per operation.
"""

import base64
import io
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.ec2.connect_endpoints import ConnectEndpoints
from dask_bake.local.ec2.describe_instances import describe_instances
from dask_bake.local.ec2.hooks import MotoHooks
from dask_bake.local.ec2.images import ACTIONS as IMAGE_ACTIONS
from dask_bake.local.ec2.images import ImageApi
from dask_bake.local.ec2.placement_groups import PlacementGroups
from dask_bake.local.ec2.run_instances.capacity import launch_parameters
from dask_bake.local.ec2.run_instances.instance_faults import InstanceFaults
from dask_bake.local.ec2.run_instances.launch import RunInstances
from dask_bake.local.ec2.run_instances.lookup import find_target
from dask_bake.local.ec2.run_instances.quotas import Quotas
from dask_bake.local.ec2.snapshots import ACTIONS as SNAPSHOT_ACTIONS
from dask_bake.local.ec2.snapshots import SnapshotApi
from dask_bake.local.ec2.spot_requests import SpotRequests
from dask_bake.local.ec2.validation.parameters import (
    check_addresses,
    check_characters,
    check_choices,
    check_ids,
)
from dask_bake.local.ec2.validation.tags import check_tags
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.security_groups import remember_rules
from dask_bake.local.query_protocol import Refusal, Request

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Ec2Api:
    """The EC2 API, one request at a time: none observes the state between moto's step and our own."""

    def __init__(
        self,
        moto: WsgiApp,
        ec2: MotoEc2,
        hypervisor: Hypervisor,
        *,
        update_firewall: Callable[[], None] = lambda: None,
    ) -> None:
        self._moto = moto
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._update_firewall = update_firewall
        self.fault_rules = FaultRules()
        self.quotas = Quotas()
        self.instance_faults = InstanceFaults(ec2.instances, hypervisor, update_firewall)
        groups = PlacementGroups(ec2)
        self._run_instances = RunInstances(
            ec2, hypervisor, self.instance_faults, self.fault_rules, self.quotas, groups
        )
        self._operations = {**groups.actions, **ConnectEndpoints(ec2).actions, **SpotRequests(ec2).actions}
        self._hooks = MotoHooks(ec2, hypervisor)
        self._images = ImageApi(ec2, hypervisor)
        self._snapshots = SnapshotApi(ec2)
        self._one_at_a_time = threading.Lock()

    def answer(self, request: Request, environ: dict[str, Any]) -> Response:
        """Return the response to a request."""
        try:
            with self._one_at_a_time:
                self._ec2.region(request.region)
                for check in (check_characters, check_ids, check_choices, check_addresses, check_tags):
                    check(request)
                hidden = self._ec2.instances.hidden()
                _refuse_hidden(request, hidden)
                if request.action == "DescribeInstances":
                    return describe_instances(request, self._ec2, hidden)
                if request.action.startswith(("Describe", "Get")):
                    return self._act(request, partial(self._ask_moto, environ))
                changes_rules = "SecurityGroup" in request.action
                restore = remember_rules(self._ec2.region(request.region)) if changes_rules else None
                answer = self._act(request, partial(self._ask_moto, environ))
                self._apply_firewall(restore)
                return answer
        except Refusal as refusal:
            return refusal.response()
        except BakeError as error:
            return Refusal("Unavailable", error.message, 503).response()

    def _apply_firewall(self, restore: Callable[[], None] | None) -> None:
        """Load the firewall: security groups, their rules or members may have changed.

        Raises:
            Refusal: of a rule that does not load. It is taken back: with it no later change would load.
        """
        try:
            self._update_firewall()
        except BakeError as error:
            if restore is None:
                raise
            restore()
            raise Refusal("InvalidParameterValue", f"The rule cannot be applied: {error.message}") from error

    def fault_parameters(self, request: Request) -> Mapping[str, str]:
        """Return the parameters that fault rules match; those of a launch include its zone and subnet."""
        if request.action != "RunInstances":
            return request.parameters
        try:
            with self._one_at_a_time:
                target = find_target(request, self._ec2)
        except Refusal:
            return request.parameters
        return launch_parameters(request, target.zone, target.subnet.id)

    def _ask_moto(self, environ: dict[str, Any], request: Request) -> Response:
        body = urlencode(request.parameters).encode()
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

    def _act(self, request: Request, ask_moto: Callable[[Request], Response]) -> Response:
        match request.action:
            case "RunInstances":
                return self._run_instances.run(request, ask_moto)
            case "GetConsoleOutput":
                return self._console_output(request)
            case action if action in self._operations:
                return self._operations[action](request)
            case action if action in IMAGE_ACTIONS:
                return self._images.answer(request, partial(ask_moto, request))
            case action if action in SNAPSHOT_ACTIONS:
                return self._snapshots.answer(request, partial(ask_moto, request))
        self._hooks.before(request)
        answer = ask_moto(request)
        if answer.status_code == 200:
            self._hooks.after(request)
        return answer

    def _console_output(self, request: Request) -> Response:
        instance_id = request.parameters.get("InstanceId", "")
        if self._ec2.instances.get(instance_id) is None:
            raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        output = base64.b64encode(self._hypervisor.slots.console(instance_id)).decode()
        return request.answer(
            f"<instanceId>{instance_id}</instanceId><timestamp>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</timestamp>"
            f"<output>{output}</output>"
        )


def _refuse_hidden(request: Request, hidden: frozenset[str]) -> None:
    """Refuse a request that names an instance which is still hidden."""
    for instance_id in hidden & frozenset(request.parameters.values()):
        raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
