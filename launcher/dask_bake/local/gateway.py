"""The endpoint: every request goes to moto, and EC2's are given what moto lacks, before it and after it.

Sources for what EC2 does: its API reference, per operation.
"""

import base64
import hashlib
import io
import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from dask_bake.errors import BakeError
from dask_bake.local.hypervisor import Hypervisor
from dask_bake.local.moto_ec2 import MotoEc2
from dask_bake.local.settings import S3_DOMAIN

USER_DATA_LIMIT = 16384
CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Refusal(Exception):  # noqa: N818 - it is EC2's answer, not a defect
    """An error that EC2 answers with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def response(self) -> Response:
        """The error in EC2's XML."""
        body = (
            f"<Response><Errors><Error><Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message>"
            "</Error></Errors><RequestID>local</RequestID></Response>"
        )
        return Response(body, status=self.status, mimetype="text/xml")


@dataclass
class Call:
    """An EC2 request: the operation, its region, and its parameters, which may be changed on the way to moto."""

    action: str
    region: str
    parameters: dict[str, str]

    def ids(self, prefix: str) -> tuple[str, ...]:
        """The values of a numbered list parameter such as ``InstanceId.1``."""
        return tuple(value for key, value in self.parameters.items() if re.fullmatch(rf"{prefix}\.\d+", key))


class Gateway:
    """A WSGI application in front of moto's."""

    def __init__(
        self,
        moto: WsgiApp,
        ec2: MotoEc2,
        hypervisor: Hypervisor,
        *,
        caller_address: str,
        load_samples: Callable[[], None],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._moto = moto
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._caller_address = caller_address
        self._load_samples = load_samples
        self._status = status
        self._tokens: dict[tuple[str, str], tuple[str, Response]] = {}
        self._launching = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"].startswith("/_dask_bake/"):
            return self._about_us(environ["PATH_INFO"])(environ, start_response)
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope and scope["service"] == "ec2":
            return self._answer_ec2(environ, scope["region"])(environ, start_response)
        if scope is None or scope["service"] == "s3":
            self._address_bucket_by_path(environ)
            if environ["PATH_INFO"].startswith("/dask-data"):
                self._load_samples()
        return self._moto(environ, start_response)

    def only_s3(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """What instances may ask: S3, and nothing of EC2 or of the server itself."""
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if environ["PATH_INFO"].startswith(("/_dask_bake/", "/moto-api")) or (
            scope and scope["service"] != "s3"
        ):
            return Response(status=403)(environ, start_response)
        return self(environ, start_response)

    def _about_us(self, path: str) -> Response:
        if path == "/_dask_bake/caller":
            return Response(self._caller_address, mimetype="text/plain")
        if path == "/_dask_bake/status":
            return Response(json.dumps(self._status()), mimetype="application/json")
        return Response(status=404)

    def _address_bucket_by_path(self, environ: dict[str, Any]) -> None:
        """Turn ``bucket.s3.dask-bake.internal/key`` and ``s3.dask-bake.internal/bucket/key`` into what moto reads."""
        host = environ.get("HTTP_HOST", "").partition(":")[0]
        if host.endswith(S3_DOMAIN):
            bucket = host.removesuffix(S3_DOMAIN).rstrip(".")
            environ["PATH_INFO"] = f"/{bucket}{environ['PATH_INFO']}" if bucket else environ["PATH_INFO"]
            environ["HTTP_HOST"] = "s3.amazonaws.com"

    def _answer_ec2(self, environ: dict[str, Any], region: str) -> Response:
        request = Request(environ)
        parameters = dict(parse_qsl(request.get_data(as_text=True), keep_blank_values=True))
        call = Call(parameters.get("Action", ""), region, parameters)
        self._ec2.region(region)
        try:
            if call.action == "RunInstances":
                with self._launching:
                    return self._run_instances(environ, call)
            return self._amended(environ, call)
        except Refusal as refusal:
            return refusal.response()

    def _amended(self, environ: dict[str, Any], call: Call) -> Response:
        answer = self._before(call)
        if answer is None:
            answer = self._ask_moto(environ, call)
            if answer.status_code == 200:
                self._after(call, answer)
        return answer

    def _ask_moto(self, environ: dict[str, Any], call: Call) -> Response:
        body = urlencode(call.parameters).encode()
        environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks, status, headers = run_wsgi_app(self._moto, environ, buffered=True)
        return Response(b"".join(chunks), status=status, headers=headers)

    def _before(self, call: Call) -> Response | None:
        match call.action:
            case "GetConsoleOutput":
                return self._console_output(call)
            case "DeleteSecurityGroup":
                self._refuse_if_used(call.parameters.get("GroupId", ""))
            case "CreateImage":
                self._prepare_image(call)
            case "StartInstances":
                self._refuse_unless_stopped(call.ids("InstanceId"))
        return None

    def _after(self, call: Call, answer: Response) -> None:
        match call.action:
            case "TerminateInstances":
                self._hypervisor.terminate(call.ids("InstanceId"))
            case "StopInstances":
                self._hypervisor.stop(call.ids("InstanceId"))
            case "StartInstances":
                self._hypervisor.start(call.ids("InstanceId"))
            case "CreateImage":
                self._keep_image(call, answer)
            case "CreateTags" | "DeleteTags":
                for image_id in (name for name in call.ids("ResourceId") if name.startswith("ami-")):
                    self._ec2.keep_tags(call.region, image_id)
            case "DeregisterImage":
                self._ec2.forget_image(call.parameters["ImageId"], keep=self._hypervisor.layers_in_use())

    def _run_instances(self, environ: dict[str, Any], call: Call) -> Response:
        """Idempotent by ClientToken, into the default subnet, without a public address, up to MaxCount."""
        token = call.parameters.get("ClientToken", "")
        fingerprint = hashlib.sha256(json.dumps(sorted(call.parameters.items())).encode()).hexdigest()
        if token and (call.region, token) in self._tokens:
            earlier, answer = self._tokens[call.region, token]
            if earlier != fingerprint:
                raise Refusal("IdempotentParameterMismatch", "The token was used with other parameters.")
            return answer
        self._prepare_launch(call)
        answer = self._ask_moto(environ, call)
        if answer.status_code == 200:
            ids = re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", answer.get_data(as_text=True))
            self._hypervisor.run(tuple(dict.fromkeys(ids)))
            if token:
                self._tokens[call.region, token] = (fingerprint, answer)
        return answer

    def _prepare_launch(self, call: Call) -> None:
        parameters = call.parameters
        user_data = base64.b64decode(parameters.get("UserData", ""))
        if len(user_data) > USER_DATA_LIMIT:
            raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")
        least, most = int(parameters.get("MinCount", "1")), int(parameters.get("MaxCount", "1"))
        if not 1 <= least <= most:
            raise Refusal("InvalidParameterValue", f"MinCount {least} and MaxCount {most} do not fit.")
        parameters["MinCount"] = str(most)
        if "NetworkInterface.1.DeviceIndex" in parameters:
            parameters.setdefault("NetworkInterface.1.SubnetId", self._ec2.default_subnet(call.region))
            parameters["NetworkInterface.1.AssociatePublicIpAddress"] = "false"
        else:
            parameters.setdefault("SubnetId", self._ec2.default_subnet(call.region))

    def _refuse_if_used(self, group_id: str) -> None:
        if self._ec2.group_is_used(group_id):
            raise Refusal("DependencyViolation", f"resource {group_id} has a dependent object")

    def _refuse_unless_stopped(self, instance_ids: tuple[str, ...]) -> None:
        for instance_id in instance_ids:
            if not self._hypervisor.is_off(instance_id):
                raise Refusal(
                    "IncorrectInstanceState", f"The instance '{instance_id}' is not in a state to start."
                )

    def _prepare_image(self, call: Call) -> None:
        name = call.parameters.get("Name", "")
        if self._ec2.image_name_is_taken(call.region, name):
            raise Refusal("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
        instance_id = call.parameters.get("InstanceId", "")
        if not self._hypervisor.is_off(instance_id):
            raise Refusal(
                "IncorrectState", f"The local cloud makes images of stopped instances only: {instance_id}"
            )
        for key in [key for key, value in call.parameters.items() if value == "snapshot"]:
            for other in [
                other for other in call.parameters if other.startswith(key.removesuffix("ResourceType"))
            ]:
                del call.parameters[other]  # moto knows no snapshot tags in this call

    def _keep_image(self, call: Call, answer: Response) -> None:
        found = re.search(r"<imageId>(ami-[0-9a-f]+)</imageId>", answer.get_data(as_text=True))
        if found:
            try:
                layers = self._hypervisor.snapshot(call.parameters["InstanceId"], found[1])
            except BakeError as error:
                raise Refusal("IncorrectState", error.message) from error
            self._ec2.keep_image(call.region, found[1], layers)

    def _console_output(self, call: Call) -> Response:
        instance_id = call.parameters.get("InstanceId", "")
        if self._ec2.instance(instance_id) is None:
            raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        output = base64.b64encode(self._hypervisor.console(instance_id)).decode()
        body = (
            f'<GetConsoleOutputResponse xmlns="{NAMESPACE}"><requestId>local</requestId>'
            f"<instanceId>{instance_id}</instanceId><timestamp>{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}</timestamp>"
            f"<output>{output}</output></GetConsoleOutputResponse>"
        )
        return Response(body, mimetype="text/xml")
