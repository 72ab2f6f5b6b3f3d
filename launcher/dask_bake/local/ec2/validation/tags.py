"""Validation of tags and of the resource types that an operation can tag (user guide, "Tag restrictions")."""

import re
from collections.abc import Sequence

from dask_bake.local.query_protocol import Refusal, Request
from dask_bake.system.text import is_safe

MAX_KEY_LENGTH = 128
MAX_VALUE_LENGTH = 256
MAX_TAGS = 50
TAGGABLE = {
    "RunInstances": {"instance", "volume", "network-interface", "spot-instances-request"},
    "CreateSecurityGroup": {"security-group"},
    "CreateKeyPair": {"key-pair"},
    "ImportKeyPair": {"key-pair"},
    "CreatePlacementGroup": {"placement-group"},
    "CreateInstanceConnectEndpoint": {"instance-connect-endpoint"},
}


def check_tags(request: Request) -> None:
    """Refuse an invalid tag, or a resource type that the operation cannot tag."""
    numbers = {match[1] for name in request.parameters if (match := SPECIFICATION.match(name))}
    for number in numbers:
        start = f"TagSpecification.{number}."
        kind = request.parameters.get(f"{start}ResourceType", "")
        if kind not in TAGGABLE.get(request.action, {kind}):
            raise Refusal(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        _check(_pairs(request, f"{start}Tag."))
    if request.action in ("CreateTags", "DeleteTags"):
        _check(_pairs(request, "Tag."))


SPECIFICATION = re.compile(r"TagSpecification\.(\d+)\.")


def _pairs(request: Request, start: str) -> list[tuple[str, str]]:
    keys = {
        name: value
        for name, value in request.parameters.items()
        if name.startswith(start) and name.endswith(".Key")
    }
    return [
        (key, request.parameters.get(name.removesuffix("Key") + "Value", "")) for name, key in keys.items()
    ]


def _check(pairs: Sequence[tuple[str, str]]) -> None:
    for key, value in pairs:
        problem = _problem(key, value)
        if problem:
            raise Refusal("InvalidParameterValue", problem)
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise Refusal("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
    if len(keys) > MAX_TAGS:
        raise Refusal("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")


def _problem(key: str, value: str) -> str | None:
    if not key:
        return "Tag key cannot be null. Specify a valid tag key."
    if key.lower().startswith("aws:"):
        return "Tag keys starting with 'aws:' are reserved for internal use"
    if len(key) > MAX_KEY_LENGTH:
        return f"Tag key exceeds the maximum length of {MAX_KEY_LENGTH} characters"
    if len(value) > MAX_VALUE_LENGTH:
        return f"Tag value exceeds the maximum length of {MAX_VALUE_LENGTH} characters"
    if not all(map(is_safe, key + value)):
        return "Tag keys and values cannot contain control or formatting characters"
    return None
