"""The admin API, reachable from this machine alone: base images, faults, quotas, sessions, requests."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from dask_bake.errors import BakeError, UsageError
from dask_bake.local.ec2.api import Ec2Api
from dask_bake.local.faults.model import FOR_RUNNING_INSTANCES
from dask_bake.local.faults.parse import parse_fault
from dask_bake.local.faults.rules import FaultRule
from dask_bake.local.gateway.request_log import RequestLog
from dask_bake.local.iam.sessions import Sessions
from dask_bake.local.storage.base_image import BaseImages
from dask_bake.models.debian import RELEASES, release_named

RULE_ONLY_OPTIONS = frozenset({"action", "where", "skip", "times", "chance", "seed", "count"})
"""Options that select requests, or the number of a launch's instances."""


class AdminApi:
    """Serves ``/_dask_bake/bases``, ``…/faults``, ``…/quotas``, ``…/requests``, ``…/sessions``, in JSON."""

    def __init__(self, ec2_api: Ec2Api, log: RequestLog, bases: BaseImages, sessions: Sessions) -> None:
        self._rules = ec2_api.fault_rules
        self._quotas = ec2_api.quotas
        self._instance_faults = ec2_api.instance_faults
        self._log = log
        self._bases = bases
        self._sessions = sessions

    def answer(self, request: HttpRequest) -> Response:
        """Return the response to a request."""
        try:
            match (request.method, request.path.removeprefix("/_dask_bake/")):
                case ("GET", "bases"):
                    return _json(self._bases.names())
                case ("POST", "bases"):
                    return _json({"id": self._make_base(_content(request))})
                case ("GET", "faults"):
                    return _json([_as_json(rule) for rule in self._rules.all()])
                case ("POST", "faults"):
                    return _json(self._add_fault(_content(request)))
                case ("DELETE", "faults"):
                    self._rules.clear()
                    self._instance_faults.reconnect_all()
                case ("GET", "quotas"):
                    return _json(self._quotas.values)
                case ("POST", "quotas"):
                    self._quotas.set(_content(request))
                case ("GET", "requests"):
                    return _json(self._log.as_json())
                case ("DELETE", "requests"):
                    self._log.clear()
                case ("POST", "sessions"):
                    self._sessions.set_lifetime(_content(request).get("lifetime"))
                case _:
                    return Response(status=404)
        except UsageError as error:
            return _json({"error": error.message, "hint": error.hint}, status=400)
        except BakeError as error:
            return _json({"error": error.message, "hint": error.hint}, status=500)
        return _json({})

    def _make_base(self, content: dict[str, Any]) -> str:
        """Make the base image of a Debian release, unless it exists, and return its id."""
        release = release_named(str(content.get("release")))
        if release is None:
            raise UsageError(
                f"there is no base image {content.get('release')!r}",
                hint=f"use one of: {', '.join(each.name for each in RELEASES)}",
            )
        return self._bases.ensure(release).id

    def _add_fault(self, content: dict[str, Any]) -> dict[str, Any]:
        """Add a fault rule, or apply a fault to a running instance at once; return the id of either."""
        instance_id = content.pop("instance", None)
        fault = parse_fault(content)
        if instance_id is None:
            return {"id": self._rules.add(fault).id}
        if fault.kind not in FOR_RUNNING_INSTANCES:
            raise UsageError(
                f"a running instance cannot have a fault of the kind {fault.kind}",
                hint=f"use one of: {', '.join(sorted(FOR_RUNNING_INSTANCES))}",
            )
        unused = sorted(set(content) & RULE_ONLY_OPTIONS)
        if unused:
            raise UsageError(
                f"a fault of a running instance is applied at once and has no {unused[0]!r}",
                hint=f"leave --{unused[0]} out",
            )
        if not self._instance_faults.is_living(instance_id):
            raise UsageError(f"there is no instance {instance_id}", hint="give the id of a running instance")
        if not self._instance_faults.is_applicable(instance_id, fault):
            raise UsageError(
                f"{instance_id} is not a spot instance and gets no interruption notice",
                hint="start spot instances with dask-bake launch --spot, or use the kind terminated",
            )
        self._instance_faults.apply(instance_id, fault)
        return {"id": instance_id}


def _content(request: HttpRequest) -> dict[str, Any]:
    try:
        content = json.loads(request.get_data())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UsageError("the request's body is not a JSON object", hint="send a JSON object")
    return content


def _as_json(rule: FaultRule) -> Mapping[str, Any]:
    fault = {**asdict(rule.fault), "where": dict(rule.fault.where)}
    return {**fault, "matched": rule.matched, "struck": rule.struck}


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(json.dumps(content), status=status, mimetype="application/json")
