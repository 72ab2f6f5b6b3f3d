"""Validation of ids, enumerated values and addresses in the parameters of any request.

A malformed id has another error code than one that does not exist (API reference, "Error codes").
"""

import re
from ipaddress import IPv4Address

from dask_bake.local.query_protocol import Refusal, Request

MALFORMED = {
    "i": "InvalidInstanceID.Malformed",
    "ami": "InvalidAMIID.Malformed",
    "sg": "InvalidGroupId.Malformed",
    "snap": "InvalidSnapshotID.Malformed",
    "vol": "InvalidVolumeID.Malformed",
}
"""Error codes by the prefix of the ids."""
PREFIXES = {
    "InstanceId": "i",
    "ImageId": "ami",
    "SecurityGroupId": "sg",
    "GroupId": "sg",
    "SnapshotId": "snap",
    "VolumeId": "vol",
}
"""Prefixes of ids by the last part of the parameter's name."""
ENABLED_OR_DISABLED = ("enabled", "disabled")
CHOICES = {
    "HttpTokens": ("optional", "required"),
    "HttpEndpoint": ENABLED_OR_DISABLED,
    "HttpProtocolIpv6": ENABLED_OR_DISABLED,
    "InstanceMetadataTags": ENABLED_OR_DISABLED,
    "HttpPutResponseHopLimit": tuple(str(hops) for hops in range(1, 65)),
    "InstanceInitiatedShutdownBehavior": ("stop", "terminate"),
}
"""Valid values by the last part of the parameter's name, in any request."""
DIGITS = r"[0-9a-f]{8}(?:[0-9a-f]{9})?"
PRIVATE_ADDRESS = re.compile(r"(?:.*\.)?PrivateIpAddress(?:\.\d+)?")
PARAMETER_NAME = re.compile(r"(?:.*\.)?(?P<last>[A-Za-z]+)(?:\.\d+)?")
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no response can contain (XML 1.0, "Characters")."""


def check_characters(request: Request) -> None:
    """Refuse characters that would make every later response with them invalid."""
    for name, value in request.parameters.items():
        if NO_XML.search(value) or NO_XML.search(name):
            raise Refusal(
                "InvalidParameterValue", f"A value for parameter {NO_XML.sub('?', name)} is invalid."
            )


def check_ids(request: Request) -> None:
    """Refuse a malformed id."""
    for name, value in request.parameters.items():
        prefix = _prefix(request, name, value)
        if prefix and value and not re.fullmatch(f"{prefix}-{DIGITS}", value):
            raise Refusal(MALFORMED[prefix], f'Invalid id: "{value}" (expecting "{prefix}-...")')


def check_choices(request: Request) -> None:
    """Refuse an invalid value of a parameter in ``CHOICES``."""
    for name, value in request.parameters.items():
        parameter = name.removesuffix(".Value").rpartition(".")[2]
        if value and value not in CHOICES.get(parameter, (value,)):
            raise Refusal("InvalidParameterValue", f"Value ({value}) for parameter {parameter} is invalid.")


def check_addresses(request: Request) -> None:
    """Refuse a malformed private address; the firewall's rules contain those of all interfaces."""
    for name, value in request.parameters.items():
        if PRIVATE_ADDRESS.fullmatch(name) and not _is_address(value):
            raise Refusal("InvalidParameterValue", f"invalid value for parameter address: {value}")


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _prefix(request: Request, name: str, value: str) -> str | None:
    """Return the prefix of the parameter's ids; None for a parameter that is not checked."""
    found = PARAMETER_NAME.fullmatch(name)
    if found is None or name.startswith(("Filter.", "Tag")):
        return None
    if found["last"] == "ResourceId":  # of any kind
        start = value.partition("-")[0]
        return start if start in MALFORMED else None
    if found["last"] == "GroupId" and ("PlacementGroup" in request.action or name.startswith("Placement.")):
        return None
    return PREFIXES.get(found["last"])
