"""EC2's operations as EC2 answers them: moto's answers, given what moto lacks before and after.

Sources for what EC2 does: its API reference, per operation.
"""

import base64
import io
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.ec2_calls import Call, Refusal, check_descriptions, read_call
from dask_bake.local.hypervisor import Hypervisor
from dask_bake.local.image_api import ACTIONS as IMAGE_ACTIONS
from dask_bake.local.image_api import ImageApi
from dask_bake.local.launches import Launches
from dask_bake.local.moto_ec2 import MotoEc2
from dask_bake.local.snapshot_api import ACTIONS as SNAPSHOT_ACTIONS
from dask_bake.local.snapshot_api import SnapshotApi

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
WITHOUT_MACHINES = frozenset(
    {
        "CreateFleet",
        "RebootInstances",
        "RegisterImage",
        "RequestSpotFleet",
        "RequestSpotInstances",
    }
)
"""What moto would answer, and no machine would be there for."""


class Ec2Api:
    """Answers EC2's requests one at a time: before, in and after moto is one step to everybody."""

    def __init__(self, moto: WsgiApp, ec2: MotoEc2, hypervisor: Hypervisor) -> None:
        self._moto = moto
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._launches = Launches(ec2, hypervisor)
        self._images = ImageApi(ec2, hypervisor)
        self._snapshots = SnapshotApi(ec2)
        self._one_at_a_time = threading.Lock()

    def answer(self, environ: dict[str, Any], region: str) -> Response:
        """The answer to one request."""
        call = read_call(environ, region)
        ask_moto = partial(self._ask_moto, environ, call)
        try:
            with self._one_at_a_time:
                self._ec2.region(region)
                return self._act(call, ask_moto)
        except Refusal as refusal:
            return refusal.response()
        except BakeError as error:
            return Refusal("Unavailable", error.message, 503).response()

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

    def _act(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        match call.action:
            case "RunInstances":
                return self._launches.run(call, ask_moto)
            case "GetConsoleOutput":
                return self._console_output(call)
            case action if action in IMAGE_ACTIONS:
                return self._images.answer(call, ask_moto)
            case action if action in SNAPSHOT_ACTIONS:
                return self._snapshots.answer(call, ask_moto)
        self._before(call)
        answer = ask_moto()
        if answer.status_code == 200:
            self._after(call)
        return answer

    def _before(self, call: Call) -> None:
        match call.action:
            case "TerminateInstances":
                self._ec2.keep_interfaces(call.ids("InstanceId"))
            case "CreateSecurityGroup" | "AuthorizeSecurityGroupIngress":
                check_descriptions(call)
            case "StopInstances":
                self._refuse_states(call, "running", "stopping", "stopped")
            case "StartInstances":
                self._refuse_states(call, "running", "stopped")
            case "DeleteSecurityGroup":
                group = call.parameters.get("GroupId") or call.parameters.get("GroupName", "")
                self._refuse_if_used(call.region, group)
            case action if action in WITHOUT_MACHINES:
                raise Refusal("UnsupportedOperation", f"The local cloud has no {action}.")

    def _after(self, call: Call) -> None:
        match call.action:
            case "TerminateInstances":
                self._hypervisor.terminate(call.ids("InstanceId"))
            case "StopInstances":
                self._hypervisor.stop(call.ids("InstanceId"))
            case "StartInstances":
                self._hypervisor.start(call.ids("InstanceId"))
            case "CreateTags" | "DeleteTags":
                for resource_id in call.ids("ResourceId"):
                    self._ec2.images.keep(call.region, resource_id)

    def _refuse_states(self, call: Call, *possible: str) -> None:
        for instance_id in call.ids("InstanceId"):
            state = self._ec2.state(instance_id)
            if state is not None and state not in possible:
                raise Refusal("IncorrectInstanceState", f"The instance '{instance_id}' is {state}.")

    def _refuse_if_used(self, region: str, group: str) -> None:
        if self._ec2.group_is_used(region, group):
            raise Refusal("DependencyViolation", f"resource {group} has a dependent object")

    def _console_output(self, call: Call) -> Response:
        instance_id = call.parameters.get("InstanceId", "")
        if self._ec2.instance(instance_id) is None:
            raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        output = base64.b64encode(self._hypervisor.console(instance_id)).decode()
        return call.answer(
            f"<instanceId>{instance_id}</instanceId><timestamp>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</timestamp>"
            f"<output>{output}</output>"
        )
