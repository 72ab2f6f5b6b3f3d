"""What EC2 takes as tags (user guide, "Tag restrictions"), and what a call may tag."""

import re
from collections.abc import Sequence

from dask_bake.local.query_protocol import Call, Refusal

LONGEST_KEY = 128
LONGEST_VALUE = 256
MOST_TAGS = 50
TAGGABLE = {
    "RunInstances": {"instance", "volume", "network-interface", "spot-instances-request"},
    "CreateSecurityGroup": {"security-group"},
    "CreateKeyPair": {"key-pair"},
    "ImportKeyPair": {"key-pair"},
    "CreatePlacementGroup": {"placement-group"},
    "CreateInstanceConnectEndpoint": {"instance-connect-endpoint"},
}


def check_tags(call: Call) -> None:
    """Raises where EC2 would refuse a tag of the request, or what is to be tagged."""
    numbers = {match[1] for name in call.parameters if (match := SPECIFICATION.match(name))}
    for number in numbers:
        start = f"TagSpecification.{number}."
        kind = call.parameters.get(f"{start}ResourceType", "")
        if kind not in TAGGABLE.get(call.action, {kind}):
            raise Refusal(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        _check(_pairs(call, f"{start}Tag."))
    if call.action in ("CreateTags", "DeleteTags"):
        _check(_pairs(call, "Tag."))


SPECIFICATION = re.compile(r"TagSpecification\.(\d+)\.")


def _pairs(call: Call, start: str) -> list[tuple[str, str]]:
    keys = {
        name: value
        for name, value in call.parameters.items()
        if name.startswith(start) and name.endswith(".Key")
    }
    return [(key, call.parameters.get(name.removesuffix("Key") + "Value", "")) for name, key in keys.items()]


def _check(pairs: Sequence[tuple[str, str]]) -> None:
    for key, value in pairs:
        problem = _problem(key, value)
        if problem:
            raise Refusal("InvalidParameterValue", problem)
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise Refusal("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
    if len(keys) > MOST_TAGS:
        raise Refusal("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")


def _problem(key: str, value: str) -> str | None:
    if not key:
        return "Tag key cannot be null. Specify a valid tag key."
    if key.lower().startswith("aws:"):
        return "Tag keys starting with 'aws:' are reserved for internal use"
    if len(key) > LONGEST_KEY:
        return f"Tag key exceeds the maximum length of {LONGEST_KEY} characters"
    if len(value) > LONGEST_VALUE:
        return f"Tag value exceeds the maximum length of {LONGEST_VALUE} characters"
    return None
