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
DIGITS = r"[0-9a-f]{8}(?:[0-9a-f]{9})?"
NAME = re.compile(r"(?:.*\.)?(?P<last>[A-Za-z]+)(?:\.\d+)?")


def check_ids(call: Call) -> None:
    """Raises where EC2 would refuse an id of the request by its form alone."""
    for name, value in call.parameters.items():
        prefix = _prefix(call, name, value)
        if prefix and value and not re.fullmatch(f"{prefix}-{DIGITS}", value):
            raise Refusal(MALFORMED[prefix], f'Invalid id: "{value}" (expecting "{prefix}-...")')


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
