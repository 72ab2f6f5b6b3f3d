"""Ids as EC2 takes them: what is no id at all is refused by another name than what does not exist.

The codes are those of the API reference, "Error codes".
"""

import re

from dask_bake.local.query_protocol import Call, Refusal

MALFORMED = {
    "i": "InvalidInstanceID.Malformed",
    "ami": "InvalidAMIID.Malformed",
    "sg": "InvalidGroupId.Malformed",
    "snap": "InvalidSnapshotID.Malformed",
    "vol": "InvalidVolumeID.Malformed",
}
"""By the prefix of the ids."""
PREFIXES = {
    "InstanceId": "i",
    "ImageId": "ami",
    "SecurityGroupId": "sg",
    "GroupId": "sg",
    "SnapshotId": "snap",
    "VolumeId": "vol",
}
"""By the last name of the parameter."""
ENABLED_OR_DISABLED = ("enabled", "disabled")
CHOICES = {
    "HttpTokens": ("optional", "required"),
    "HttpEndpoint": ENABLED_OR_DISABLED,
    "HttpProtocolIpv6": ENABLED_OR_DISABLED,
    "InstanceMetadataTags": ENABLED_OR_DISABLED,
    "HttpPutResponseHopLimit": tuple(str(hops) for hops in range(1, 65)),
    "InstanceInitiatedShutdownBehavior": ("stop", "terminate"),
}
"""Values of parameters that take a few only, in whatever request they are."""
DIGITS = r"[0-9a-f]{8}(?:[0-9a-f]{9})?"
NAME = re.compile(r"(?:.*\.)?(?P<last>[A-Za-z]+)(?:\.\d+)?")


def check_ids(call: Call) -> None:
    """Raises where EC2 would refuse an id of the request by its form alone."""
    for name, value in call.parameters.items():
        prefix = _prefix(call, name, value)
        if prefix and value and not re.fullmatch(f"{prefix}-{DIGITS}", value):
            raise Refusal(MALFORMED[prefix], f'Invalid id: "{value}" (expecting "{prefix}-...")')


def check_choices(call: Call) -> None:
    """Refuse a value that EC2 does not take for a parameter of ``CHOICES``."""
    for name, value in call.parameters.items():
        parameter = name.removesuffix(".Value").rpartition(".")[2]
        if value and value not in CHOICES.get(parameter, (value,)):
            raise Refusal("InvalidParameterValue", f"Value ({value}) for parameter {parameter} is invalid.")


def _prefix(call: Call, name: str, value: str) -> str | None:
    """How the parameter's ids begin; None when it is no id, or one of a kind that is not looked at."""
    found = NAME.fullmatch(name)
    if found is None or name.startswith(("Filter.", "Tag")):
        return None
    if found["last"] == "ResourceId":  # of whatever kind
        start = value.partition("-")[0]
        return start if start in MALFORMED else None
    if found["last"] == "GroupId" and ("PlacementGroup" in call.action or name.startswith("Placement.")):
        return None
    return PREFIXES.get(found["last"])
