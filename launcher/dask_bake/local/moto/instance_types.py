"""Properties of EC2's instance types, from moto's copy of DescribeInstanceTypes."""

from dask_bake.local.moto.models import INSTANCE_TYPES


def architectures(instance_type: str) -> tuple[str, ...]:
    """Return the architectures of an instance type; none for a type that EC2 does not have."""
    known = INSTANCE_TYPES.get(instance_type, {})
    return tuple(known.get("ProcessorInfo", {}).get("SupportedArchitectures", ()))


def vcpus(instance_type: str) -> int:
    """Return the number of virtual CPUs of an instance type."""
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def placement_strategies(instance_type: str) -> tuple[str, ...]:
    """Return the strategies of the placement groups in which the instance type can be launched."""
    known = INSTANCE_TYPES.get(instance_type, {})
    return tuple(known.get("PlacementGroupInfo", {}).get("SupportedStrategies", ()))
