"""Parameters of which EC2 takes a few values only, in whatever request they are (API reference)."""

from dask_bake.local.query_protocol import Call, Refusal

SWITCH = ("enabled", "disabled")
TAKEN = {
    "HttpTokens": ("optional", "required"),
    "HttpEndpoint": SWITCH,
    "HttpProtocolIpv6": SWITCH,
    "InstanceMetadataTags": SWITCH,
    "HttpPutResponseHopLimit": tuple(str(hops) for hops in range(1, 65)),
    "InstanceInitiatedShutdownBehavior": ("stop", "terminate"),
}


def check_choices(call: Call) -> None:
    """Raises where EC2 would refuse a value."""
    for name, value in call.parameters.items():
        parameter = name.removesuffix(".Value").rpartition(".")[2]
        if value and value not in TAKEN.get(parameter, (value,)):
            raise Refusal("InvalidParameterValue", f"Value ({value}) for parameter {parameter} is invalid.")
