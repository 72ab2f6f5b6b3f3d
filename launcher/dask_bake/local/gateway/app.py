"""The endpoint, a WSGI application: EC2 requests go to our own EC2 API, those of a few services to moto."""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.admin_client import PROOF_HEADER
from dask_bake.local.credentials import Credentials
from dask_bake.local.ec2.api import Ec2Api, WsgiApp
from dask_bake.local.gateway.admin import AdminApi
from dask_bake.local.gateway.door import Caller, Door, ForeignRequestError, bucket_named
from dask_bake.local.gateway.fault_gate import FaultGate, ServiceRequest
from dask_bake.local.gateway.public_s3 import IsPublic, as_anonymous, is_allowed
from dask_bake.local.gateway.refusals import refused_signature, s3_error
from dask_bake.local.gateway.request_log import RequestLog
from dask_bake.local.gateway.role_access import check_access
from dask_bake.local.gateway.sts import caller_identity, session_token
from dask_bake.local.iam.sessions import Sessions
from dask_bake.local.query_protocol import Refusal, error_response, read_request
from dask_bake.local.signature import SignatureError, proof
from dask_bake.local.storage.base_image import BaseImages

SAMPLES_PATH = "/dask-data"
ADMIN_PATH = "/_dask_bake/"
WITHOUT_FAULTS_PATH = "/_dask_bake/ec2"
"""EC2 without fault injection and without the request log, for tests that inspect the cloud."""


class Gateway:
    """Checks requests and dispatches them: to ``ec2_api`` for EC2, ``s3``, and moto's other ``services``.

    A service that is not among them does not exist: moto has some that call addresses of their callers.
    """

    def __init__(
        self,
        services: Mapping[str, WsgiApp],
        s3: WsgiApp,
        ec2_api: Ec2Api,
        *,
        credentials: Credentials,
        sessions: Sessions,
        is_public: IsPublic,
        caller_address: str,
        load_samples: Callable[[], None],
        status: Callable[[], dict[str, Any]],
        bases: BaseImages,
    ) -> None:
        self._services = services
        self._s3 = s3
        self._ec2_api = ec2_api
        self._credentials = credentials
        self._sessions = sessions
        self._door = Door(credentials, sessions)
        self._is_public = is_public
        self._caller_address = caller_address
        self._load_samples = load_samples
        self._status = status
        self.log = RequestLog()
        self._gate = FaultGate(ec2_api.fault_rules, self.log)
        self._admin = AdminApi(ec2_api, self.log, bases, sessions)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handle a request from this machine."""
        answer = self._checked(environ, self._answer, is_instance=False)
        return answer(environ, _without_cors(start_response))

    def only_s3(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handle a request from an instance: S3 alone, nothing of EC2 or of the admin API."""
        answer = self._checked(environ, self._answer_instance, is_instance=True)
        return answer(environ, _without_cors(start_response))

    def _checked(
        self,
        environ: dict[str, Any],
        answer: Callable[[dict[str, Any], Caller], WsgiApp],
        *,
        is_instance: bool,
    ) -> WsgiApp:
        """Return the application that answers the request, once it is known who sends it."""
        try:
            self._door.check_source(environ, is_instance=is_instance)
            is_admin = environ["PATH_INFO"].startswith(ADMIN_PATH)
            if "HTTP_AUTHORIZATION" not in environ and not is_admin:
                anonymous = _with_bucket_in_path(as_anonymous(environ))
                if is_allowed(anonymous, self._is_public_now):
                    return self._s3_with(anonymous)
            caller = self._door.check_signature(environ)
            if caller.session is not None:
                self._check_session(environ, caller)
            return answer(environ, caller)
        except ForeignRequestError as error:
            return Response(f"{error}\n", status=403, mimetype="text/plain")
        except SignatureError as error:
            return refused_signature(environ, error)
        except BakeError as error:
            return s3_error("InternalError", error.message, status=500)

    def _check_session(self, environ: dict[str, Any], caller: Caller) -> None:
        """Check that a session's request is one to S3 that its role may make.

        Raises:
            SignatureError: when it is not.
        """
        if caller.authorization.service != "s3" or environ["PATH_INFO"].startswith(ADMIN_PATH):
            raise SignatureError("AccessDenied", "In the local cloud session credentials are for S3 alone.")
        if caller.session is not None and caller.session.role:
            check_access(_with_bucket_in_path(environ), caller.session, self._is_public_now)

    def _is_public_now(self, bucket: str, key: str) -> bool:
        if f"/{bucket}" == SAMPLES_PATH:
            self._load_samples()
        return self._is_public(bucket, key)

    def _answer(self, environ: dict[str, Any], caller: Caller) -> WsgiApp:
        signed = caller.authorization
        if signed.service == "s3" and not environ["PATH_INFO"].startswith(ADMIN_PATH):
            return self._s3_with(_with_bucket_in_path(environ))
        authorization = environ["HTTP_AUTHORIZATION"]
        answer = self._answer_known(environ, signed.service, signed.region)
        answer.headers[PROOF_HEADER] = proof(self._credentials, authorization, answer.get_data())
        return answer

    def _answer_known(self, environ: dict[str, Any], service: str, region: str) -> Response:
        path = environ["PATH_INFO"]
        if path == WITHOUT_FAULTS_PATH and service == "ec2":
            request, _ = read_request(environ, region)
            return self._ec2_api.answer(request, {**environ, "PATH_INFO": "/"})
        if path.startswith(ADMIN_PATH):
            return self._answer_admin(HttpRequest(environ))
        if service != "ec2" and service not in self._services:
            message = f"The service {service} is not available in the local cloud."
            return error_response(service, "InvalidAction", 400, message)
        return self._answer_service(environ, service, region)

    def _answer_instance(self, environ: dict[str, Any], caller: Caller) -> WsgiApp:
        if environ["PATH_INFO"].startswith(ADMIN_PATH) or caller.authorization.service != "s3":
            return Refusal("UnauthorizedOperation", "Instances reach S3 alone.", 403).response()
        return self._s3_with(_with_bucket_in_path(environ))

    def _answer_admin(self, request: HttpRequest) -> Response:
        if request.path == f"{ADMIN_PATH}caller":
            return Response(json.dumps(self._caller_address), mimetype="application/json")
        if request.path == f"{ADMIN_PATH}status":
            return Response(json.dumps(self._status()), mimetype="application/json")
        return self._admin.answer(request)

    def _answer_service(self, environ: dict[str, Any], service: str, region: str) -> Response:
        request, body = read_request(environ, region)
        # The log gets a copy of the parameters, as operations change them.
        received = ServiceRequest(service, region, request.action, dict(request.parameters))
        where = {"Region": region}
        if service == "ec2":
            return self._gate.answer(
                received,
                {**self._ec2_api.fault_parameters(request), **where},
                environ,
                lambda faults: self._ec2_api.answer(replace(request, faults=faults), environ),
            )
        return self._gate.answer(
            received,
            {**request.parameters, **where},
            environ,
            lambda _: self._answer_other(received, environ, body),
        )

    def _answer_other(self, request: ServiceRequest, environ: dict[str, Any], body: bytes) -> Response:
        if request.action == "GetServiceQuota" and request.parameters.get("ServiceCode") == "ec2":
            return self._ec2_api.quotas.answer(request.region, request.parameters.get("QuotaCode", ""))
        match (request.service, request.action):
            case ("sts", "GetCallerIdentity"):
                return caller_identity()
            case ("sts", "GetSessionToken"):
                return session_token(self._sessions, request.parameters)
        chunks, status, headers = run_wsgi_app(
            self._services[request.service], {**environ, "wsgi.input": io.BytesIO(body)}, buffered=True
        )
        return Response(b"".join(chunks), status=status, headers=headers)

    def _s3_with(self, environ: dict[str, Any]) -> WsgiApp:
        """Return S3 for this request; make the sample data first if it is requested."""
        if environ["PATH_INFO"].startswith(SAMPLES_PATH):
            self._load_samples()
        return lambda _, start_response: self._s3(environ, start_response)


def _with_bucket_in_path(environ: dict[str, Any]) -> dict[str, Any]:
    """Return ``BUCKET.s3.dask-bake.internal/KEY`` as ``s3.amazonaws.com/BUCKET/KEY``, which moto reads."""
    bucket = bucket_named(environ.get("HTTP_HOST", ""))
    if bucket is None:
        return environ
    names = ("PATH_INFO", "RAW_URI", "REQUEST_URI") if bucket else ()
    paths = {name: f"/{bucket}{environ[name]}" for name in names}
    return {**environ, **paths, "HTTP_HOST": "s3.amazonaws.com"}


def _without_cors(start_response: Any) -> Any:
    """Return a ``start_response`` that lets no web page read the response, whatever moto permits."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        kept = [each for each in headers if not each[0].lower().startswith("access-control-")]
        return start_response(status, kept, *rest)

    return start
