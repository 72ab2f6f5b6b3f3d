"""moto's EC2 backends, with the default VPC on the local network: regions, subnets and security groups."""

from typing import Any

from dask_bake.local.moto.images import MotoImages
from dask_bake.local.moto.instances import Instances
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, ec2_backends
from dask_bake.local.moto.security_groups import let_members_in
from dask_bake.local.moto.speedups import index_tags
from dask_bake.local.moto.zones import LocalSubnet, adopt_subnets, lay_out, subnets
from dask_bake.local.network.addresses import Addresses
from dask_bake.local.network.bridge import Network
from dask_bake.local.query_protocol import Refusal
from dask_bake.local.storage.image_store import ImageStore


class MotoEc2:
    """moto's EC2 in every region, with the instances and images of the local cloud."""

    account: str = DEFAULT_ACCOUNT_ID

    def __init__(self, network: Network, store: ImageStore) -> None:
        self.images = MotoImages(store)
        self.instances = Instances()
        self._addresses = Addresses()
        self._network = network
        self._prepared: dict[str, Any] = {}
        self._offers: dict[str, dict[str, set[str]]] = {}
        """By region, the zones of each instance type: moto would search thousands for each launch."""

    def region(self, name: str) -> Any:
        """Return moto's backend of a region, prepared at its first use."""
        if name not in ec2_backends[DEFAULT_ACCOUNT_ID]:
            raise Refusal("UnsupportedOperation", f"The local cloud has no region {name}.")
        if name not in self._prepared:
            backend = ec2_backends[DEFAULT_ACCOUNT_ID][name]
            lay_out(backend, self._network.block, self._addresses)
            let_members_in(backend)
            index_tags(backend)
            self.images.load(backend)
            self._prepared[name] = backend
        return self._prepared[name]

    def default_subnets(self, region: str) -> dict[str, Any]:
        """Return the default subnets by zone, in the zones' order."""
        found = {
            subnet.availability_zone: subnet
            for subnet in subnets(self.region(region))
            if subnet.default_for_az and isinstance(subnet, LocalSubnet)
        }
        return dict(sorted(found.items()))

    def adopt_subnets(self, region: str) -> None:
        """Put subnets that a user has made in the default VPC on the local network."""
        adopt_subnets(self.region(region), self._addresses)

    def subnet(self, region: str, subnet_id: str) -> Any:
        """Return the subnet with that id.

        Raises:
            Refusal: when there is none, or it is not on the local network.
        """
        for subnet in subnets(self.region(region)):
            if subnet.id == subnet_id and isinstance(subnet, LocalSubnet):
                return subnet
            if subnet.id == subnet_id:
                raise Refusal(
                    "UnsupportedOperation",
                    f"The local cloud launches in its default VPC alone; {subnet_id} is in {subnet.vpc_id}.",
                )
        raise Refusal("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")

    def zones_offering(self, region: str, instance_type: str) -> tuple[str, ...]:
        """Return the zones that offer the instance type, in their order."""
        if region not in self._offers:
            zones: dict[str, set[str]] = {}
            for offer in self.region(region).describe_instance_type_offerings("availability-zone"):
                zones.setdefault(offer["InstanceType"], set()).add(offer["Location"])
            self._offers[region] = zones
        return tuple(sorted(self._offers[region].get(instance_type, ())))

    def group(self, region: str, group_id: str) -> Any:
        """Return the security group with that id.

        Raises:
            Refusal: when there is none.
        """
        group = self.region(region).get_security_group_from_id(group_id)
        if group is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        return group

    def group_by_name(self, region: str, name: str) -> Any:
        """Return the security group of the default VPC with that name.

        Raises:
            Refusal: when there is none.
        """
        backend = self.region(region)
        for group in backend.groups[backend.default_vpc.id].values():
            if group.name == name:
                return group
        raise Refusal("InvalidGroup.NotFound", f"The security group '{name}' does not exist")

    def default_group(self, region: str) -> Any:
        """Return the default security group of the default VPC."""
        return self.group_by_name(region, "default")

    def group_is_used(self, region: str, name: str) -> bool:
        """Whether an interface is in the group of that id or name; those of terminated instances are not."""
        backend = self.region(region)
        living = (each for each in backend.all_instances() if each.state != "terminated")
        interfaces = [nic for instance in living for nic in instance.nics.values()]
        interfaces += [nic for nic in backend.enis.values() if nic.instance is None]
        return any(name in (group.id, group.name) for nic in interfaces for group in nic.group_set)
