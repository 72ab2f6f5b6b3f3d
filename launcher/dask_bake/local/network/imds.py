"""The instance metadata service, version 2: what an instance may ask about itself.

Answered inside the local cloud's own network alone; the asker is known by its address. Paths and formats are
those of EC2's "Instance metadata categories"; any API version is answered alike.
"""

import json
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from dask_bake.local.faults.model import METADATA, Fault, Kind

TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - the header's name
LIFETIME_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
LONGEST_LIFETIME = 21600

Strike = Callable[[str, Mapping[str, str]], tuple[Fault, ...]]
"""What goes wrong with a request, by its action and its parameters."""
Tree = Mapping[str, "str | Tree"]


@dataclass(frozen=True)
class Facts:
    """What the metadata service tells an instance. ``user_data`` is None when it has none."""

    instance_id: str
    image_id: str
    instance_type: str
    launch_index: int
    region: str
    zone: str
    account: str
    private_address: str
    mac: str
    architecture: str
    security_groups: tuple[str, ...]
    public_key: tuple[str, str] | None
    user_data: bytes | None
    token_required: bool
    spot: bool = False
    interruption: datetime | None = None
    """When a spot instance will be interrupted, once it is known."""
    tags: Mapping[str, str] = field(default_factory=dict)
    is_enabled: bool = True
    """Whether the instance is to have metadata at all."""
    shows_tags: bool = False
    hop_limit: int = 64
    """Over so many routers a token may go."""


def metadata_tree(facts: Facts) -> Tree:
    """The categories under ``meta-data/``, as a tree."""
    host = f"ip-{facts.private_address.replace('.', '-')}.{_domain(facts.region)}"
    interface = {
        "device-number": "0",
        "local-hostname": host,
        "local-ipv4s": facts.private_address,
        "mac": facts.mac,
    }
    tree: dict[str, str | Tree] = {
        "ami-id": facts.image_id,
        "ami-launch-index": str(facts.launch_index),
        "hostname": host,
        "instance-id": facts.instance_id,
        "instance-life-cycle": "spot" if facts.spot else "on-demand",
        "instance-type": facts.instance_type,
        "local-hostname": host,
        "local-ipv4": facts.private_address,
        "mac": facts.mac,
        "network": {"interfaces": {"macs": {facts.mac: interface}}},
        "placement": {"availability-zone": facts.zone, "region": facts.region},
        "security-groups": "\n".join(facts.security_groups),
    }
    if facts.interruption:
        end = f"{facts.interruption:%Y-%m-%dT%H:%M:%SZ}"
        notice = json.dumps({"action": "terminate", "time": end})
        tree["spot"] = {"instance-action": notice, "termination-time": end}
    if facts.public_key:
        name, material = facts.public_key
        tree["public-keys"] = {"0": {"openssh-key": material}, "": f"0={name}"}
    if facts.shows_tags:
        tree["tags"] = {"instance": facts.tags}
    return tree


def identity_document(facts: Facts) -> str:
    """The instance identity document (unsigned)."""
    return json.dumps(
        {
            "accountId": facts.account,
            "architecture": facts.architecture,
            "availabilityZone": facts.zone,
            "imageId": facts.image_id,
            "instanceId": facts.instance_id,
            "instanceType": facts.instance_type,
            "privateIp": facts.private_address,
            "region": facts.region,
            "version": "2017-09-30",
        },
        indent=2,
    )


def _domain(region: str) -> str:
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def look_up(tree: Tree, path: str) -> str | None:
    """What stands at a path: a value, a listing of names, or None."""
    here: str | Tree = tree
    for part in filter(None, path.split("/")):
        if isinstance(here, str) or part not in here:
            return None
        here = here[part]
    if isinstance(here, str):
        return here
    if "" in here:
        return str(here[""])
    return "\n".join(name if isinstance(value, str) else f"{name}/" for name, value in here.items())


def fault_parameters(method: str, path: str, facts: Facts) -> dict[str, str]:
    """What a fault rule for metadata can ask of a request."""
    return {
        "Method": method,
        "Path": path,
        "InstanceId": facts.instance_id,
        "InstanceType": facts.instance_type,
        "AvailabilityZone": facts.zone,
        **{f"Tag.{key}": value for key, value in facts.tags.items()},
    }


class MetadataService:
    """A WSGI application; ``facts_of`` knows the instance that has an address."""

    def __init__(
        self,
        facts_of: Callable[[str], Facts | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        strike: Strike = lambda _action, _parameters: (),
    ) -> None:
        self._facts_of = facts_of
        self._clock = clock
        self._sleep = sleep
        self._strike = strike
        self._tokens: dict[str, tuple[str, float]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        facts = self._facts_of(request.remote_addr or "")
        if facts is None:
            return Response(status=404)
        for fault in self._strike(METADATA, fault_parameters(request.method, request.path, facts)):
            if fault.kind is Kind.DELAY:
                self._sleep(fault.seconds)
            else:
                return Response(status=fault.status or 404)
        if not facts.is_enabled:
            return Response(status=403)
        if request.path == "/latest/api/token":
            return self._give_token(request, facts)
        if not self._may_read(request, facts):
            return Response(status=401)
        return _read(request.path, facts)

    def _give_token(self, request: Request, facts: Facts) -> Response:
        if request.method != "PUT":
            return Response(status=405)
        lifetime = request.headers.get(LIFETIME_HEADER, "")
        if not (lifetime.isdecimal() and 1 <= int(lifetime) <= LONGEST_LIFETIME):
            return Response(status=400)
        token, now = secrets.token_urlsafe(32), self._clock()
        for known, (_owner, deadline) in tuple(self._tokens.items()):
            if deadline <= now:
                self._tokens.pop(known, None)
        self._tokens[token] = (facts.instance_id, now + int(lifetime))
        _limit_hops(request, facts.hop_limit)
        return Response(token, headers={LIFETIME_HEADER: lifetime}, mimetype="text/plain")

    def _may_read(self, request: Request, facts: Facts) -> bool:
        token = request.headers.get(TOKEN_HEADER)
        if token is None:
            return not facts.token_required
        owner, deadline = self._tokens.get(token, ("", 0.0))
        return owner == facts.instance_id and self._clock() < deadline


def _limit_hops(request: Request, hops: int) -> None:
    """Have the answer's packets go no further, as to containers in the instance."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


def _read(path: str, facts: Facts) -> Response:
    _version, _, rest = path.strip("/").partition("/")
    if rest == "user-data":
        if facts.user_data is None:
            return Response(status=404)
        return Response(facts.user_data, mimetype="application/octet-stream")
    tree: Tree = {
        "dynamic": {"instance-identity": {"document": identity_document(facts)}},
        "meta-data": metadata_tree(facts),
    }
    found = look_up(tree, rest)
    return Response(status=404) if found is None else Response(found, mimetype="text/plain")
