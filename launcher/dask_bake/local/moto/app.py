"""moto as an application in this process; what it lacks is refused as EC2 refuses what it does not have."""

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from dask_bake.local.moto.speedups import cache_method_names
from dask_bake.local.query_protocol import error_response

if TYPE_CHECKING:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

UNKNOWN_FILTER = re.compile(r"[Ff]ilter .*?'(?P<name>[^']+)'")


def moto_app() -> "DomainDispatcherApplication":
    """All services."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    return DomainDispatcherApplication(one_service)


def one_service(service: Any) -> Any:
    """The service of that name, under whatever address it is asked."""
    from botocore.model import OperationNotFoundError
    from moto.moto_server.werkzeug_app import create_backend_app

    cache_method_names()
    app = create_backend_app(service)
    for lack in (NotImplementedError, OperationNotFoundError):
        app.register_error_handler(lack, partial(_refuse, service))
    return app


def _refuse(service: str, lack: Exception) -> Response:
    """EC2's error, for a page of HTML says nothing to whoever asked (API reference, "Error codes")."""
    unknown = UNKNOWN_FILTER.search(str(lack))
    if unknown:
        reason = f"The filter '{unknown['name']}' is invalid, or one that the local cloud does not have."
        return error_response(service, "InvalidParameterValue", 400, reason)
    reason = "The action is not valid for this web service, or one that the local cloud does not have."
    return error_response(service, "InvalidAction", 400, reason)
