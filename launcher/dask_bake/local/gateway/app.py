"""The endpoint, a WSGI application: EC2 requests go to our own EC2 API, those of other services to moto."""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.ec2.api import Ec2Api, WsgiApp
from dask_bake.local.gateway.admin import AdminApi
from dask_bake.local.gateway.fault_gate import FaultGate, ServiceRequest
from dask_bake.local.gateway.request_log import RequestLog
from dask_bake.local.query_protocol import Refusal, read_request
from dask_bake.local.settings import S3_DOMAIN
from dask_bake.local.storage.base_image import BaseImages

CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
SAMPLES_PATH = "/dask-data"
ADMIN_PATH = "/_dask_bake/"
WITHOUT_FAULTS_PATH = "/_dask_bake/ec2"
"""EC2 without fault injection and without the request log, for tests that inspect the cloud."""


class Gateway:
    """Dispatches requests: ``ec2_api`` handles EC2, ``s3`` S3, and ``moto`` the other services."""

    def __init__(
        self,
        moto: WsgiApp,
        s3: WsgiApp,
        ec2_api: Ec2Api,
        *,
        caller_address: str,
        load_samples: Callable[[], None],
        status: Callable[[], dict[str, Any]],
        bases: BaseImages,
    ) -> None:
        self._moto = moto
        self._s3 = s3
        self._ec2_api = ec2_api
        self._caller_address = caller_address
        self._load_samples = load_samples
        self._status = status
        self.log = RequestLog()
        self._gate = FaultGate(ec2_api.fault_rules, self.log)
        self._admin = AdminApi(ec2_api, self.log, bases)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handle a request from this machine."""
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if environ["PATH_INFO"] == WITHOUT_FAULTS_PATH and scope:
            request, _ = read_request(environ, scope["region"])
            return self._ec2_api.answer(request, {**environ, "PATH_INFO": "/"})(environ, start_response)
        if environ["PATH_INFO"].startswith(ADMIN_PATH):
            return self._answer_admin(HttpRequest(environ))(environ, start_response)
        if scope is None or scope["service"] == "s3":
            return self._answer_s3(environ, start_response)
        return self._answer_service(environ, scope["service"], scope["region"])(environ, start_response)

    def only_s3(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Handle a request from an instance: S3 alone, nothing of EC2 or of the admin API."""
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if environ["PATH_INFO"].startswith(ADMIN_PATH) or (scope and scope["service"] != "s3"):
            refusal = Refusal("UnauthorizedOperation", "Instances reach S3 alone.", 403)
            return refusal.response()(environ, start_response)
        return self._answer_s3(environ, start_response)

    def _answer_admin(self, request: HttpRequest) -> Response:
        if request.path == f"{ADMIN_PATH}caller":
            return Response(self._caller_address, mimetype="text/plain")
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
        chunks, status, headers = run_wsgi_app(
            self._moto, {**environ, "wsgi.input": io.BytesIO(body)}, buffered=True
        )
        return Response(b"".join(chunks), status=status, headers=headers)

    def _answer_s3(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _put_bucket_into_path(environ)
        if environ["PATH_INFO"].startswith(SAMPLES_PATH):
            try:
                self._load_samples()
            except BakeError as error:
                return _s3_failure(error)(environ, start_response)
        return self._s3(environ, start_response)


def _put_bucket_into_path(environ: dict[str, Any]) -> None:
    """Rewrite ``BUCKET.s3.dask-bake.internal/KEY`` to ``s3.amazonaws.com/BUCKET/KEY``, which moto reads."""
    host = environ.get("HTTP_HOST", "").partition(":")[0]
    if f".{host}".endswith(f".{S3_DOMAIN}"):
        bucket = host.removesuffix(S3_DOMAIN).rstrip(".")
        for name in ("PATH_INFO", "RAW_URI", "REQUEST_URI") if bucket else ():
            environ[name] = f"/{bucket}{environ[name]}"
        environ["HTTP_HOST"] = "s3.amazonaws.com"


def _s3_failure(error: BakeError) -> Response:
    body = f"<Error><Code>InternalError</Code><Message>{escape(error.message)}</Message></Error>"
    return Response(body, status=500, mimetype="application/xml")
