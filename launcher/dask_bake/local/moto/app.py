"""moto as WSGI applications; operations that it does not have are refused with EC2's errors."""

import re
from functools import partial
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.local.moto.speedups import cache_method_names
from dask_bake.local.query_protocol import error_response

UNKNOWN_FILTER = re.compile(r"[Ff]ilter .*?'(?P<name>[^']+)'")


SERVICES = ("iam", "servicequotas", "sts")
"""The services of moto that are served as they are."""


def moto_services() -> dict[str, Any]:
    """Return the applications of these services."""
    return {service: one_service(service) for service in SERVICES}


def one_service(service: Any) -> Any:
    """Return the application of one service, for requests to any host name."""
    from botocore.model import OperationNotFoundError
    from moto.moto_server.werkzeug_app import create_backend_app

    cache_method_names()
    app = create_backend_app(service)
    for error in (NotImplementedError, OperationNotFoundError):
        app.register_error_handler(error, partial(_refuse, service))
    return app


def _refuse(service: str, error: Exception) -> Response:
    """Return an EC2 error in place of moto's HTML page (API reference, "Error codes")."""
    unknown = UNKNOWN_FILTER.search(str(error))
    if unknown:
        reason = f"The filter '{unknown['name']}' is invalid, or not available in the local cloud."
        return error_response(service, "InvalidParameterValue", 400, reason)
    reason = "The action is not valid for this web service, or not available in the local cloud."
    return error_response(service, "InvalidAction", 400, reason)
