"""Fault injection into requests: on the connection or in the response. Every request is logged."""

import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from werkzeug.wrappers import Response

from dask_bake.local.faults.model import NO_CAPACITY, Fault, FaultKind
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.gateway.request_log import LoggedRequest, RequestLog, shortened
from dask_bake.local.query_protocol import error_response

SIGN_IN_PAGE = (
    "<html><head><title>Sign in</title></head><body><p>Please sign in to use this network.</p></body></html>"
)
Handler: TypeAlias = Callable[[tuple[Fault, ...]], Response]
"""Handles the request; the faults are those of the instances that it launches."""


@dataclass(frozen=True)
class ServiceRequest:
    """A request to a service, independent of the service's protocol."""

    service: str
    region: str
    action: str
    parameters: Mapping[str, str]


@dataclass
class FaultGate:
    """Passes requests on to their services, or has them fail as the fault rules say."""

    rules: FaultRules
    log: RequestLog
    sleep: Callable[[float], None] = time.sleep

    def answer(
        self,
        request: ServiceRequest,
        matchable: Mapping[str, str],
        environ: dict[str, Any],
        handle: Handler,
    ) -> Response:
        """Return the response to a request; ``matchable`` are the parameters for the rules.

        Raises:
            ConnectionAbortedError: when a fault has closed the connection.
        """
        faults = tuple(_as_capacity(request, fault) for fault in self.rules.match(request.action, matchable))
        for fault in faults:
            if fault.kind is FaultKind.DELAY:
                self.sleep(fault.seconds)
        response = self._respond(request, faults, handle)
        self._log(request, faults, response)
        if response is None:
            _close_connection(environ)
            raise ConnectionAbortedError
        return response

    def _respond(
        self, request: ServiceRequest, faults: tuple[Fault, ...], handle: Handler
    ) -> Response | None:
        """Return the response, or None where the connection is to be closed without one."""
        for fault in faults:
            match fault.kind:
                case FaultKind.ERROR:
                    return error_response(request.service, *fault.error())
                case FaultKind.DROP_BEFORE:
                    return None
                case FaultKind.HTML:
                    return Response(SIGN_IN_PAGE, mimetype="text/html")
                case FaultKind.DROP_AFTER:
                    handle(faults)
                    return None
                case FaultKind.TRUNCATE:
                    return _first_half(handle(faults))
        return handle(faults)

    def _log(self, request: ServiceRequest, faults: Iterable[Fault], response: Response | None) -> None:
        self.log.add(
            LoggedRequest(
                service=request.service,
                action=request.action,
                region=request.region,
                parameters=shortened(request.parameters),
                status=response.status_code if response else None,
                code=_error_code(response) if response else None,
                faults=tuple(fault.id for fault in faults),
            )
        )


def _as_capacity(request: ServiceRequest, fault: Fault) -> Fault:
    """Turn a launch's plain capacity error into a lack of capacity, whose message names other zones."""
    is_plain = (
        fault.kind is FaultKind.ERROR and fault.code == NO_CAPACITY and not fault.message and not fault.status
    )
    return replace(fault, kind=FaultKind.CAPACITY) if is_plain and request.action == "RunInstances" else fault


def _first_half(response: Response) -> Response:
    whole = response.get_data()
    half = Response(whole[: len(whole) // 2], status=response.status_code, headers=response.headers)
    half.headers["Content-Length"] = str(len(whole))
    return half


def _error_code(response: Response) -> str | None:
    if response.status_code < 400:
        return None
    found = re.search(r'<Code>([^<]+)</Code>|"__type": ?"([^"]+)"', response.get_data(as_text=True))
    return None if found is None else found[1] or found[2]


def _close_connection(environ: Mapping[str, Any]) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
