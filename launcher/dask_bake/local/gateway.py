"""The endpoint: EC2's requests are answered as EC2 does, S3's and the rest by moto."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.ec2_api import Ec2Api, WsgiApp
from dask_bake.local.ec2_calls import Refusal
from dask_bake.local.settings import S3_DOMAIN

CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
SAMPLES = "/dask-data"


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
    ) -> None:
        self._moto = moto
        self._s3 = s3
        self._ec2_api = ec2_api
        self._caller_address = caller_address
        self._load_samples = load_samples
        self._status = status

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"].startswith("/_dask_bake/"):
            return self._about_us(environ["PATH_INFO"])(environ, start_response)
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is None or scope["service"] == "s3":
            return self._answer_s3(environ, start_response)
        if scope["service"] == "ec2":
            return self._ec2_api.answer(environ, scope["region"])(environ, start_response)
        return self._moto(environ, start_response)

    def only_s3(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """What instances may ask: S3, and nothing of EC2 or of the server itself."""
        scope = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if environ["PATH_INFO"].startswith("/_dask_bake/") or (scope and scope["service"] != "s3"):
            refusal = Refusal("UnauthorizedOperation", "Instances reach S3 alone.", 403)
            return refusal.response()(environ, start_response)
        return self._answer_s3(environ, start_response)

    def _about_us(self, path: str) -> Response:
        if path == "/_dask_bake/caller":
            return Response(self._caller_address, mimetype="text/plain")
        if path == "/_dask_bake/status":
            return Response(json.dumps(self._status()), mimetype="application/json")
        return Response(status=404)

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
