"""The instance metadata service, versions 1 and 2.

It listens on the bridge alone and recognises instances by their address. Paths and formats are those of EC2's
"Instance metadata categories"; every API version has the same content.
"""

import json
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from werkzeug.wrappers import Request, Response

from dask_bake.local.faults.model import METADATA, Fault, FaultKind

TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - the header's name
TOKEN_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105 - likewise
MAX_TOKEN_TTL = 21600
MAX_TOKENS = 1000
"""The number of an instance's latest tokens that are valid: a node's root could fill the memory with them."""

MatchFaults: TypeAlias = Callable[[str, Mapping[str, str]], tuple[Fault, ...]]
"""Returns the faults of a request, by its action and its parameters."""
Tree: TypeAlias = Mapping[str, "str | Tree"]


@dataclass(frozen=True)
class ProfileMetadata:
    """An instance profile, with its role and the role's credentials; without a role both are empty."""

    arn: str
    id: str
    updated: str
    role: str
    credentials: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class InstanceMetadata:
    """The metadata of an instance. ``user_data`` is None where it has none."""

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
    """The time of a spot instance's interruption, once it is known."""
    profile: ProfileMetadata | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    is_enabled: bool = True
    """Return whether the metadata service is enabled for the instance."""
    shows_tags: bool = False
    hop_limit: int = 64
    """The number of routers that a token can pass."""


def metadata_tree(metadata: InstanceMetadata) -> Tree:
    """Return the categories below ``meta-data/``."""
    host = f"ip-{metadata.private_address.replace('.', '-')}.{_domain(metadata.region)}"
    interface = {
        "device-number": "0",
        "local-hostname": host,
        "local-ipv4s": metadata.private_address,
        "mac": metadata.mac,
    }
    tree: dict[str, str | Tree] = {
        "ami-id": metadata.image_id,
        "ami-launch-index": str(metadata.launch_index),
        "hostname": host,
        "instance-id": metadata.instance_id,
        "instance-life-cycle": "spot" if metadata.spot else "on-demand",
        "instance-type": metadata.instance_type,
        "local-hostname": host,
        "local-ipv4": metadata.private_address,
        "mac": metadata.mac,
        "network": {"interfaces": {"macs": {metadata.mac: interface}}},
        "placement": {"availability-zone": metadata.zone, "region": metadata.region},
        "security-groups": "\n".join(metadata.security_groups),
    }
    if metadata.interruption:
        end = f"{metadata.interruption:%Y-%m-%dT%H:%M:%SZ}"
        notice = json.dumps({"action": "terminate", "time": end})
        tree["spot"] = {"instance-action": notice, "termination-time": end}
    if metadata.profile:
        tree["iam"] = _profile_tree(metadata.profile)
    if metadata.public_key:
        name, material = metadata.public_key
        tree["public-keys"] = {"0": {"openssh-key": material}, "": f"0={name}"}
    if metadata.shows_tags:
        tree["tags"] = {"instance": metadata.tags}
    return tree


def _profile_tree(profile: ProfileMetadata) -> Tree:
    info = {
        "Code": "Success",
        "LastUpdated": profile.updated,
        "InstanceProfileArn": profile.arn,
        "InstanceProfileId": profile.id,
    }
    tree: dict[str, str | Tree] = {"info": json.dumps(info, indent=2)}
    if profile.role:
        tree["security-credentials"] = {profile.role: json.dumps(dict(profile.credentials), indent=2)}
    return tree


def identity_document(metadata: InstanceMetadata) -> str:
    """Return the instance identity document, unsigned."""
    return json.dumps(
        {
            "accountId": metadata.account,
            "architecture": metadata.architecture,
            "availabilityZone": metadata.zone,
            "imageId": metadata.image_id,
            "instanceId": metadata.instance_id,
            "instanceType": metadata.instance_type,
            "privateIp": metadata.private_address,
            "region": metadata.region,
            "version": "2017-09-30",
        },
        indent=2,
    )


def _domain(region: str) -> str:
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def look_up(tree: Tree, path: str) -> str | None:
    """Return the value at a path, or the names below it, or None."""
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


def fault_parameters(method: str, path: str, metadata: InstanceMetadata) -> dict[str, str]:
    """Return the parameters of a metadata request that fault rules match against."""
    return {
        "Method": method,
        "Path": path,
        "InstanceId": metadata.instance_id,
        "InstanceType": metadata.instance_type,
        "AvailabilityZone": metadata.zone,
        **{f"Tag.{key}": value for key, value in metadata.tags.items()},
    }


class MetadataService:
    """A WSGI application; ``find_metadata`` returns the metadata of the instance with an address."""

    def __init__(
        self,
        find_metadata: Callable[[str], InstanceMetadata | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        match_faults: MatchFaults = lambda _action, _parameters: (),
    ) -> None:
        self._find_metadata = find_metadata
        self._clock = clock
        self._sleep = sleep
        self._match_faults = match_faults
        self._tokens: dict[str, tuple[str, float]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Handle a request of an instance."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        metadata = self._find_metadata(request.remote_addr or "")
        if metadata is None:
            return Response(status=404)
        for fault in self._match_faults(METADATA, fault_parameters(request.method, request.path, metadata)):
            if fault.kind is FaultKind.DELAY:
                self._sleep(fault.seconds)
            else:
                return Response(status=fault.status or 404)
        if not metadata.is_enabled:
            return Response(status=403)
        if request.path == "/latest/api/token":
            return self._give_token(request, metadata)
        if not self._may_read(request, metadata):
            return Response(status=401)
        return _read(request.path, metadata)

    def _give_token(self, request: Request, metadata: InstanceMetadata) -> Response:
        if request.method != "PUT":
            return Response(status=405)
        lifetime = request.headers.get(TOKEN_TTL_HEADER, "")
        if not (lifetime.isdecimal() and 1 <= int(lifetime) <= MAX_TOKEN_TTL):
            return Response(status=400)
        token, now = secrets.token_urlsafe(32), self._clock()
        for known, (_owner, deadline) in tuple(self._tokens.items()):
            if deadline <= now:
                self._tokens.pop(known, None)
        own = [known for known, (owner, _) in tuple(self._tokens.items()) if owner == metadata.instance_id]
        for known in own[: max(0, len(own) - MAX_TOKENS + 1)]:
            self._tokens.pop(known, None)
        self._tokens[token] = (metadata.instance_id, now + int(lifetime))
        _limit_hops(request, metadata.hop_limit)
        return Response(token, headers={TOKEN_TTL_HEADER: lifetime}, mimetype="text/plain")

    def _may_read(self, request: Request, metadata: InstanceMetadata) -> bool:
        token = request.headers.get(TOKEN_HEADER)
        if token is None:
            return not metadata.token_required
        owner, deadline = self._tokens.get(token, ("", 0.0))
        return owner == metadata.instance_id and self._clock() < deadline


def _limit_hops(request: Request, hops: int) -> None:
    """Limit the response's hops, so that it does not reach containers in the instance."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


def _read(path: str, metadata: InstanceMetadata) -> Response:
    _version, _, rest = path.strip("/").partition("/")
    if rest == "user-data":
        if metadata.user_data is None:
            return Response(status=404)
        return Response(metadata.user_data, mimetype="application/octet-stream")
    tree: Tree = {
        "dynamic": {"instance-identity": {"document": identity_document(metadata)}},
        "meta-data": metadata_tree(metadata),
    }
    found = look_up(tree, rest)
    return Response(status=404) if found is None else Response(found, mimetype="text/plain")
