"""The endpoint: EC2's requests are answered as EC2 does, S3's and the rest by moto."""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from dask_bake.errors import BakeError
from dask_bake.local.ec2.api import Ec2Api, WsgiApp
from dask_bake.local.gateway.admin import ControlDesk
from dask_bake.local.gateway.fault_gate import Asked, FaultGate
from dask_bake.local.gateway.request_log import RequestLog
from dask_bake.local.query_protocol import Refusal, read_request
from dask_bake.local.settings import S3_DOMAIN
from dask_bake.local.storage.base_image import Bases

CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
SAMPLES = "/dask-data"
PAST_THE_GATE = "/_dask_bake/ec2"
"""EC2 for whoever looks at what there is while faults are in force: none strikes, and nothing is logged."""


class Gateway:
    """A WSGI application in front of moto: ``moto`` answers for every service, ``s3`` for S3 alone."""

    def __init__(
        self,
        moto: WsgiApp,
        s3: WsgiApp,
        ec2_api: Ec2Api,
        *,
        caller_address: str,
        load_samples: Callable[[], None],
        status: Callable[[], dict[str, Any]],
        bases: Bases,
    ) -> None:
        self._moto = moto
        self._s3 = s3
        self._ec2_api = ec2_api
        self._caller_address = caller_address
        self._load_samples = load_samples
        self._status = status
        self.log = RequestLog()
        self._gate = FaultGate(ec2_api.troubles.rules, self.log)
        self._desk = ControlDesk(ec2_api.troubles, ec2_api.fates, self.log, bases)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if environ["PATH_INFO"] == PAST_THE_GATE and scope:
            call, _ = read_request(environ, scope["region"])
            return self._ec2_api.answer(call, {**environ, "PATH_INFO": "/"})(environ, start_response)
        if environ["PATH_INFO"].startswith("/_dask_bake/"):
            return self._about_us(Request(environ))(environ, start_response)
        if scope is None or scope["service"] == "s3":
            return self._answer_s3(environ, start_response)
        return self._answer_service(environ, scope["service"], scope["region"])(environ, start_response)

    def only_s3(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """What instances may ask: S3, and nothing of EC2 or of the server itself."""
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if environ["PATH_INFO"].startswith("/_dask_bake/") or (scope and scope["service"] != "s3"):
            refusal = Refusal("UnauthorizedOperation", "Instances reach S3 alone.", 403)
            return refusal.response()(environ, start_response)
        return self._answer_s3(environ, start_response)

    def _about_us(self, request: Request) -> Response:
        if request.path == "/_dask_bake/caller":
            return Response(self._caller_address, mimetype="text/plain")
        if request.path == "/_dask_bake/status":
            return Response(json.dumps(self._status()), mimetype="application/json")
        return self._desk.answer(request)

    def _answer_service(self, environ: dict[str, Any], service: str, region: str) -> Response:
        call, body = read_request(environ, region)
        asked = Asked(service, region, call.action, dict(call.parameters))  # as it came: calls are changed
        where = {"Region": region}
        if service == "ec2":
            return self._gate.answer(
                asked,
                {**self._ec2_api.fault_parameters(call), **where},
                environ,
                lambda faults: self._ec2_api.answer(replace(call, faults=faults), environ),
            )
        return self._gate.answer(
            asked, {**call.parameters, **where}, environ, lambda _: self._answer_other(asked, environ, body)
        )

    def _answer_other(self, asked: Asked, environ: dict[str, Any], body: bytes) -> Response:
        if asked.action == "GetServiceQuota" and asked.parameters.get("ServiceCode") == "ec2":
            return self._ec2_api.troubles.quotas.answer(asked.region, asked.parameters.get("QuotaCode", ""))
        chunks, status, headers = run_wsgi_app(
            self._moto, {**environ, "wsgi.input": io.BytesIO(body)}, buffered=True
        )
        return Response(b"".join(chunks), status=status, headers=headers)

    def _answer_s3(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        _address_bucket_by_path(environ)
        if environ["PATH_INFO"].startswith(SAMPLES):
            try:
                self._load_samples()
            except BakeError as error:
                return _s3_failure(error)(environ, start_response)
        return self._s3(environ, start_response)


def _address_bucket_by_path(environ: dict[str, Any]) -> None:
    """Turn ``BUCKET.s3.dask-bake.internal/KEY``, or the bucket in the path, into what moto reads."""
    host = environ.get("HTTP_HOST", "").partition(":")[0]
    if f".{host}".endswith(f".{S3_DOMAIN}"):
        bucket = host.removesuffix(S3_DOMAIN).rstrip(".")
        for name in ("PATH_INFO", "RAW_URI", "REQUEST_URI") if bucket else ():
            environ[name] = f"/{bucket}{environ[name]}"
        environ["HTTP_HOST"] = "s3.amazonaws.com"


def _s3_failure(error: BakeError) -> Response:
    body = f"<Error><Code>InternalError</Code><Message>{escape(error.message)}</Message></Error>"
    return Response(body, status=500, mimetype="application/xml")
