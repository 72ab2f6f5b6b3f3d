"""Where the local cloud is told, from this machine alone, which base images, faults and quotas it has."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from werkzeug.wrappers import Request, Response

from dask_bake.errors import BakeError, UsageError
from dask_bake.local.ec2.api import Troubles
from dask_bake.local.ec2.run_instances.instance_faults import Fates
from dask_bake.local.faults.model import OF_LIVING
from dask_bake.local.faults.parse import parse_fault
from dask_bake.local.faults.rules import Rule
from dask_bake.local.gateway.request_log import RequestLog
from dask_bake.local.storage.base_image import Bases
from dask_bake.models.debian import RELEASES, release_named

OF_RULES = frozenset({"action", "where", "skip", "times", "chance", "seed", "count"})
"""What says which requests a rule is for, or how many instances of a launch."""


class ControlDesk:
    """Answers at ``/_dask_bake/bases``, ``…/faults``, ``…/quotas`` and ``…/requests``, in JSON."""

    def __init__(self, troubles: Troubles, fates: Fates, log: RequestLog, bases: Bases) -> None:
        self._troubles = troubles
        self._fates = fates
        self._log = log
        self._bases = bases

    def answer(self, request: Request) -> Response:
        """The answer to one request."""
        try:
            match (request.method, request.path.removeprefix("/_dask_bake/")):
                case ("GET", "bases"):
                    return _json(self._bases.names())
                case ("POST", "bases"):
                    return _json({"id": self._make_base(_said(request))})
                case ("GET", "faults"):
                    return _json([_told(rule) for rule in self._troubles.rules.all()])
                case ("POST", "faults"):
                    return _json(self._add(_said(request)))
                case ("DELETE", "faults"):
                    self._troubles.rules.clear()
                    self._fates.join_all()
                case ("GET", "quotas"):
                    return _json(self._troubles.quotas.values)
                case ("POST", "quotas"):
                    self._troubles.quotas.set(_said(request))
                case ("GET", "requests"):
                    return _json(self._log.as_json())
                case ("DELETE", "requests"):
                    self._log.clear()
                case _:
                    return Response(status=404)
        except UsageError as error:
            return _json({"error": error.message, "hint": error.hint}, status=400)
        except BakeError as error:
            return _json({"error": error.message, "hint": error.hint}, status=500)
        return _json({})

    def _make_base(self, said: dict[str, Any]) -> str:
        """Make the base image of a Debian release, unless it is there, and return its id."""
        release = release_named(str(said.get("release")))
        if release is None:
            raise UsageError(
                f"There is no base image {said.get('release')!r}.",
                hint=f"Use one of: {', '.join(each.name for each in RELEASES)}.",
            )
        return self._bases.ensure(release).id

    def _add(self, said: dict[str, Any]) -> dict[str, Any]:
        """Put a rule in force, or have an instance that is there meet the fault now."""
        instance_id = said.pop("instance", None)
        fault = parse_fault(said)
        if instance_id is None:
            return {"id": self._troubles.rules.add(fault).id}
        if fault.kind not in OF_LIVING:
            raise UsageError(
                f"An instance cannot meet a fault of the kind {fault.kind}.",
                hint=f"Use one of: {', '.join(sorted(OF_LIVING))}.",
            )
        of_rules = sorted(set(said) & OF_RULES)
        if of_rules:
            raise UsageError(
                f"An instance that runs is struck at once, whatever its {of_rules[0]!r}.",
                hint=f"Leave --{of_rules[0]} out.",
            )
        if not self._fates.knows(instance_id):
            raise UsageError(f"There is no instance {instance_id}.", hint="Give the id of one that runs.")
        if not self._fates.can_meet(instance_id, fault):
            raise UsageError(
                f"{instance_id} is no spot instance, and gets no notice.",
                hint="dask-bake launch --spot starts some; terminated ends any.",
            )
        self._fates.meet(instance_id, fault)
        return {"id": instance_id}


def _said(request: Request) -> dict[str, Any]:
    try:
        said = json.loads(request.get_data())
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise UsageError("The request is not an object in JSON.", hint="Send one.")
    return said


def _told(rule: Rule) -> Mapping[str, Any]:
    fault = {**asdict(rule.fault), "where": dict(rule.fault.where)}
    return {**fault, "matched": rule.matched, "struck": rule.struck}


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(json.dumps(content), status=status, mimetype="application/json")
