"""Requests that go wrong as the fault rules say, on the connection or in the answer; every one is logged."""

import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.local.faults.model import NO_CAPACITY, Fault, Kind
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.gateway.request_log import LoggedRequest, RequestLog, shortened
from dask_bake.local.query_protocol import error_response

PAGE = (
    "<html><head><title>Sign in</title></head><body><p>Please sign in to use this network.</p></body></html>"
)
CarryOut = Callable[[tuple[Fault, ...]], Response]
"""Carries the request out, and what it makes goes wrong in these ways."""


@dataclass(frozen=True)
class Asked:
    """A request, whatever its service's protocol."""

    service: str
    region: str
    action: str
    parameters: Mapping[str, str]


@dataclass
class FaultGate:
    """Stands in front of the services."""

    rules: FaultRules
    log: RequestLog
    sleep: Callable[[float], None] = time.sleep

    def answer(
        self, asked: Asked, about: Mapping[str, str], environ: dict[str, Any], carry_out: CarryOut
    ) -> Response:
        """The answer to a request; ``about`` is what rules can ask of it.

        Raises:
            ConnectionAbortedError: when the connection was closed.
        """
        faults = tuple(_as_capacity(asked, fault) for fault in self.rules.strike(asked.action, about))
        for fault in faults:
            if fault.kind is Kind.DELAY:
                self.sleep(fault.seconds)
        response = self._decide(asked, faults, carry_out)
        self._note(asked, faults, response)
        if response is None:
            _hang_up(environ)
            raise ConnectionAbortedError
        return response

    def _decide(self, asked: Asked, faults: tuple[Fault, ...], carry_out: CarryOut) -> Response | None:
        """The answer; None for none."""
        for fault in faults:
            match fault.kind:
                case Kind.ERROR:
                    return error_response(asked.service, *fault.error())
                case Kind.DROP_BEFORE:
                    return None
                case Kind.HTML:
                    return Response(PAGE, mimetype="text/html")
                case Kind.DROP_AFTER:
                    carry_out(faults)
                    return None
                case Kind.TRUNCATE:
                    return _half(carry_out(faults))
        return carry_out(faults)

    def _note(self, asked: Asked, faults: Iterable[Fault], response: Response | None) -> None:
        self.log.add(
            LoggedRequest(
                service=asked.service,
                action=asked.action,
                region=asked.region,
                parameters=shortened(asked.parameters),
                status=response.status_code if response else None,
                code=_code(response) if response else None,
                faults=tuple(fault.id for fault in faults),
            )
        )


def _as_capacity(asked: Asked, fault: Fault) -> Fault:
    """Missing capacity is told by who knows where there is some, unless the rule has words of its own."""
    is_told = (
        fault.kind is Kind.ERROR and fault.code == NO_CAPACITY and not fault.message and not fault.status
    )
    return replace(fault, kind=Kind.CAPACITY) if is_told and asked.action == "RunInstances" else fault


def _half(response: Response) -> Response:
    whole = response.get_data()
    half = Response(whole[: len(whole) // 2], status=response.status_code, headers=response.headers)
    half.headers["Content-Length"] = str(len(whole))
    return half


def _code(response: Response) -> str | None:
    if response.status_code < 400:
        return None
    found = re.search(r'<Code>([^<]+)</Code>|"__type": ?"([^"]+)"', response.get_data(as_text=True))
    return None if found is None else found[1] or found[2]


def _hang_up(environ: Mapping[str, Any]) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
