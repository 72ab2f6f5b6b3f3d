"""A region's zones and subnets in moto, which are all parts of the bridge's address block."""

from fnmatch import fnmatchcase
from ipaddress import IPv4Network
from typing import Any

from dask_bake.local.moto.models import Subnet
from dask_bake.local.network.addresses import Addresses

ZONES = 3
"""The number of zones, each with a quarter of the block; the last quarter is for subnets that users make."""


class LocalSubnet(Subnet):
    """moto's subnet with addresses of the bridge; a subnet of moto's becomes one by its ``__class__``."""

    addresses: Addresses
    cidr: IPv4Network

    @property
    def available_ip_address_count(self) -> int:
        """Return the number of free addresses."""
        return self.addresses.free(self.cidr)

    def get_available_subnet_ip(self, instance: Any) -> str:  # noqa: ARG002 - moto's signature
        """Allocate an address for an instance."""
        address = self.addresses.take(self.cidr)
        assert address is not None  # noqa: S101 - a launch counts the free ones first
        return address

    def request_ip(self, ip: str, instance: Any) -> None:  # noqa: ARG002 - moto's signature
        """Allocate an address that was chosen elsewhere."""
        self.addresses.claim(ip)

    def del_subnet_ip(self, ip: str) -> None:
        """Release an address."""
        self.addresses.release(ip)


def set_up_default_vpc(backend: Any, block: IPv4Network, addresses: Addresses) -> None:
    """Replace moto's default VPC by one on the block, with a default subnet in each of the first zones."""
    for made_by_moto in (backend.vpcs, backend.subnets, backend.groups):
        made_by_moto.clear()
    vpc = backend.create_vpc(str(block), is_default=True)
    backend.default_vpc = vpc
    zones = backend.describe_availability_zones()[:ZONES]
    for zone, part in zip(zones, block.subnets(prefixlen_diff=2), strict=False):
        backend.create_subnet(vpc.id, str(part), availability_zone=zone.name)
    adopt_subnets(backend, addresses)
    _hide_other_zones(backend, zones)


def adopt_subnets(backend: Any, addresses: Addresses) -> None:
    """Let the subnets of the default VPC allocate the bridge's addresses, and no public ones."""
    for subnet in subnets(backend):
        if subnet.vpc_id == backend.default_vpc.id and not isinstance(subnet, LocalSubnet):
            subnet.__class__ = LocalSubnet
            subnet.addresses = addresses
            subnet.map_public_ip_on_launch = "false"


def subnets(backend: Any) -> tuple[Any, ...]:
    """Return every subnet of a region, by zone."""
    return tuple(subnet for of_zone in backend.subnets.values() for subnet in of_zone.values())


def _hide_other_zones(backend: Any, zones: list[Any]) -> None:
    """Hide the region's other zones and their offerings, and let patterns select types, as on EC2."""
    visible = {zone.name for zone in zones} | {zone.zone_id for zone in zones}
    every_zone = backend.describe_availability_zones
    every_offering = backend.describe_instance_type_offerings

    def describe_zones(*args: Any, **kwargs: Any) -> list[Any]:
        return [zone for zone in every_zone(*args, **kwargs) if zone.name in visible]

    def describe_offerings(location_type: str | None = None, filters: Any = None) -> list[Any]:
        wanted = dict(filters or {})
        patterns = wanted.pop("instance-type", ["*"])
        found = [
            offering
            for offering in every_offering(location_type, wanted)
            if any(fnmatchcase(offering["InstanceType"], pattern) for pattern in patterns)
        ]
        if location_type in (None, "region"):
            return found
        return [offering for offering in found if offering["Location"] in visible]

    backend.describe_availability_zones = describe_zones
    backend.describe_instance_type_offerings = describe_offerings
