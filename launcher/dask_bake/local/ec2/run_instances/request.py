"""Validation of RunInstances without look-ups: counts, user-data, disks, market."""

import base64
import binascii
import re
from dataclasses import dataclass

from dask_bake.local.query_protocol import Refusal, Request

USER_DATA_LIMIT = 16384
SPOT_PRICE = 0.00001
"""The price of every instance type in moto."""
VOLUME_TYPES = frozenset({"gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"})
INITIALIZATION_RATES = range(100, 301)
"""MiB/s (API reference, EbsBlockDevice.VolumeInitializationRate)."""
KNOWN_PARAMETERS = re.compile(
    r"""Action | Version | DryRun | ClientToken | AUTHPARAMS
    | ImageId | InstanceType | KeyName | MinCount | MaxCount | UserData | EbsOptimized
    | SubnetId | SecurityGroup\.\d+ | SecurityGroupId\.\d+
    | NetworkInterface\.1\.(DeviceIndex|SubnetId|AssociatePublicIpAddress|DeleteOnTermination|Description)
    | NetworkInterface\.1\.(SecurityGroupId\.\d+|NetworkCardIndex|InterfaceType)
    | Placement\.(AvailabilityZone|GroupName|GroupId|Tenancy)
    | BlockDeviceMapping\.\d+\.(DeviceName|NoDevice)
    | BlockDeviceMapping\.\d+\.Ebs\.(DeleteOnTermination|Iops|SnapshotId|VolumeSize|VolumeType|KmsKeyId)
    | BlockDeviceMapping\.\d+\.Ebs\.(Throughput|Encrypted|VolumeInitializationRate)
    | MetadataOptions\.(HttpTokens|HttpPutResponseHopLimit|HttpEndpoint)
    | MetadataOptions\.(HttpProtocolIpv6|InstanceMetadataTags)
    | InstanceMarketOptions\.MarketType
    | InstanceMarketOptions\.SpotOptions\.(MaxPrice|SpotInstanceType|InstanceInterruptionBehavior)
    | InstanceInitiatedShutdownBehavior | DisableApiTermination | DisableApiStop | Monitoring\.Enabled
    | IamInstanceProfile\.(Name|Arn) | TagSpecification\.\d+\..+""",
    re.VERBOSE,
)
"""The parameters that have an effect here; others are refused."""
WITHOUT_EFFECT = {
    "CapacityReservationSpecification.CapacityReservationPreference": {"none", "open"},
    "EnclaveOptions.Enabled": {"false"},
}
"""Parameters that Packer's current plugin always sends, and the values with which they change nothing."""


@dataclass(frozen=True)
class Count:
    """The minimum number of instances, below which a launch fails, and the maximum."""

    least: int
    most: int


def remove_empty(request: Request) -> None:
    """Remove empty parameters, which Packer sends and EC2 ignores."""
    for name in [name for name, value in request.parameters.items() if not value]:
        if not name.startswith(("TagSpecification.", "BlockDeviceMapping.")):
            del request.parameters[name]


def check_request(request: Request) -> Count:
    """Return the requested number of instances; refuse a request that is invalid by itself."""
    for name, value in request.parameters.items():
        if not KNOWN_PARAMETERS.fullmatch(name) and value not in WITHOUT_EFFECT.get(name, ()):
            raise Refusal("UnsupportedOperation", f"The local cloud does not support the parameter {name}.")
    _check_user_data(request.parameters.get("UserData", ""))
    _check_disks(request)
    _check_market(request)
    _check_combinations(request)
    return _count(request)


def is_spot(request: Request) -> bool:
    """Return whether spot instances are requested."""
    return request.parameters.get("InstanceMarketOptions.MarketType") == "spot"


def _count(request: Request) -> Count:
    least, most = (int(request.parameters.get(name, "1")) for name in ("MinCount", "MaxCount"))
    if least < 1:
        raise Refusal("InvalidParameterValue", f"Value ({least}) for parameter minCount is invalid.")
    if least > most:
        raise Refusal(
            "InvalidParameterValue", f"MinCount ({least}) may not be greater than MaxCount ({most})."
        )
    return Count(least, most)


def _check_user_data(text: str) -> None:
    try:
        user_data = base64.b64decode(text)
    except binascii.Error:
        raise Refusal("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if len(user_data) > USER_DATA_LIMIT:
        raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")


def _check_disks(request: Request) -> None:
    for name, value in request.parameters.items():
        if name.endswith(".Ebs.VolumeType") and value not in VOLUME_TYPES:
            raise Refusal("InvalidParameterValue", f"Invalid volume type: {value}")
        is_rate = name.endswith(".Ebs.VolumeInitializationRate")
        if is_rate and not (value.isdecimal() and int(value) in INITIALIZATION_RATES):
            raise Refusal(
                "InvalidParameterValue",
                f"The volume initialization rate {value} is invalid: specify 100 to 300 MiB/s.",
            )


def _check_market(request: Request) -> None:
    options = {
        name.removeprefix("InstanceMarketOptions."): value
        for name, value in request.parameters.items()
        if name.startswith("InstanceMarketOptions.")
    }
    market = options.get("MarketType", "spot" if options else None)
    if market not in (None, "spot"):
        raise Refusal("UnsupportedOperation", f"The local cloud does not support the market type {market}.")
    if options.get("SpotOptions.SpotInstanceType", "one-time") != "one-time":
        raise Refusal("UnsupportedOperation", "The local cloud supports only one-time spot requests.")
    if options.get("SpotOptions.InstanceInterruptionBehavior", "terminate") != "terminate":
        raise Refusal(
            "InvalidParameterCombination",
            "The instance interruption behavior must be terminate for a one-time Spot request.",
        )
    _check_price(options.get("SpotOptions.MaxPrice", str(SPOT_PRICE)))


def _check_price(text: str) -> None:
    try:
        price = float(text)
    except ValueError:
        raise Refusal("InvalidParameterValue", f"Invalid value '{text}' for MaxPrice.") from None
    if price < SPOT_PRICE:
        raise Refusal(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {text} is lower than the minimum required Spot request "
            f"fulfillment price of {SPOT_PRICE:.5f}.",
        )


def _check_combinations(request: Request) -> None:
    parameters = request.parameters
    if any(name.startswith("NetworkInterface.") for name in parameters):
        if "SubnetId" in parameters or request.ids("SecurityGroupId") or request.ids("SecurityGroup"):
            raise Refusal(
                "InvalidParameterCombination",
                "Network interfaces and an instance-level subnet ID or security groups "
                "may not be specified on the same request",
            )
        if parameters.get("NetworkInterface.1.DeviceIndex") != "0":
            raise Refusal(
                "InvalidParameterValue", "Each network interface requires a device index; the first is 0."
            )
    if parameters.get("Placement.Tenancy", "default") != "default":
        raise Refusal("UnsupportedOperation", "The local cloud supports only the default tenancy.")
    if {"IamInstanceProfile.Name", "IamInstanceProfile.Arn"} <= set(parameters):
        raise Refusal(
            "InvalidParameterCombination",
            "The parameter 'iamInstanceProfile.name' may not be used in combination with "
            "'iamInstanceProfile.arn'",
        )
    tagged = {value for name, value in parameters.items() if name.endswith(".ResourceType")}
    if "spot-instances-request" in tagged and not is_spot(request):
        raise Refusal(
            "InvalidParameterCombination",
            "You can't specify tags for Spot Instances requests if there are no Spot Instances requests "
            "being created by the request.",
        )
