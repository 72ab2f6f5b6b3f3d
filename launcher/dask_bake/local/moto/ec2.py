"""What moto knows of EC2, prepared for machines that boot."""

import base64
import copy
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dask_bake.local.moto.images import MotoImages
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, INSTANCE_TYPES, StateReason, ec2_backends
from dask_bake.local.moto.security_groups import let_members_in
from dask_bake.local.moto.speedups import index_tags
from dask_bake.local.moto.zones import LocalSubnet, adopt_subnets, lay_out, subnets
from dask_bake.local.network.addresses import Addresses
from dask_bake.local.network.bridge import Network, mac_address
from dask_bake.local.network.imds import Facts
from dask_bake.local.query_protocol import Refusal
from dask_bake.local.storage.image_store import ImageStore

STATE_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
"""EC2's codes for instance states (API reference, InstanceState)."""

Reason = tuple[str, str]
"""EC2's StateReason, as its code and its message."""
BY_USER: Reason = ("Client.UserInitiatedShutdown", "User initiated shutdown")


class MotoEc2:
    """moto's EC2, with the default VPC on the local network and the images that the store holds."""

    account: str = DEFAULT_ACCOUNT_ID

    def __init__(self, network: Network, store: ImageStore) -> None:
        self.images = MotoImages(store)
        self.addresses = Addresses()
        self._network = network
        self._prepared: dict[str, Any] = {}
        self._instances: dict[str, Any] = {}
        self._offers: dict[str, dict[str, set[str]]] = {}
        """Of each region, the zones of each instance type: moto would search thousands for each launch."""

    def region(self, name: str) -> Any:
        """moto's backend of a region, prepared when it is first asked for."""
        if name not in ec2_backends[DEFAULT_ACCOUNT_ID]:
            raise Refusal("UnsupportedOperation", f"The local cloud has no region {name}.")
        if name not in self._prepared:
            backend = ec2_backends[DEFAULT_ACCOUNT_ID][name]
            lay_out(backend, self._network.block, self.addresses)
            let_members_in(backend)
            index_tags(backend)
            self.images.load(backend)
            self._prepared[name] = backend
        return self._prepared[name]

    def default_subnets(self, region: str) -> dict[str, Any]:
        """The default subnets by zone, in the zones' order."""
        found = {
            subnet.availability_zone: subnet
            for subnet in subnets(self.region(region))
            if subnet.default_for_az and isinstance(subnet, LocalSubnet)
        }
        return dict(sorted(found.items()))

    def adopt_subnets(self, region: str) -> None:
        """Take in the subnets that somebody has made in the default VPC."""
        adopt_subnets(self.region(region), self.addresses)

    def subnet(self, region: str, subnet_id: str) -> Any:
        """The subnet with that id.

        Raises:
            Refusal: when there is none, or it is not on the bridge.
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
        """The zones where there are instances of that type, in their order."""
        if region not in self._offers:
            zones: dict[str, set[str]] = {}
            for offer in self.region(region).describe_instance_type_offerings("availability-zone"):
                zones.setdefault(offer["InstanceType"], set()).add(offer["Location"])
            self._offers[region] = zones
        return tuple(sorted(self._offers[region].get(instance_type, ())))

    def group(self, region: str, group_id: str) -> Any:
        """The security group with that id.

        Raises:
            Refusal: when there is none.
        """
        group = self.region(region).get_security_group_from_id(group_id)
        if group is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        return group

    def group_by_name(self, region: str, name: str) -> Any:
        """The security group of the default VPC with that name.

        Raises:
            Refusal: when there is none.
        """
        backend = self.region(region)
        for group in backend.groups[backend.default_vpc.id].values():
            if group.name == name:
                return group
        raise Refusal("InvalidGroup.NotFound", f"The security group '{name}' does not exist")

    def default_group(self, region: str) -> Any:
        """The default security group of the default VPC."""
        return self.group_by_name(region, "default")

    def know(self, instances: Iterable[Any]) -> None:
        """New instances, to be found by their ids."""
        self._instances |= {instance.id: instance for instance in instances}

    def forget(self, instance_id: str) -> None:
        """A terminated instance is seen no more."""
        instance = self._instances.pop(instance_id, None)
        if instance is None:
            return
        backend = instance.ec2_backend
        reservation = backend.reservations[instance.reservation_id]
        reservation.instances = [other for other in reservation.instances if other is not instance]
        if not reservation.instances:
            backend.reservations.pop(reservation.id)
        for resource_id in instance.tagged:
            backend.tags.pop(resource_id, None)

    def architectures(self, instance_type: str) -> tuple[str, ...]:
        """What an instance of that type can run; nothing for a type that EC2 does not have."""
        known = INSTANCE_TYPES.get(instance_type, {})
        return tuple(known.get("ProcessorInfo", {}).get("SupportedArchitectures", ()))

    def vcpus(self, instance_type: str) -> int:
        """How many virtual CPUs an instance of that type has."""
        return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])

    def placement_strategies(self, instance_type: str) -> tuple[str, ...]:
        """The strategies of placement groups that take instances of that type."""
        known = INSTANCE_TYPES.get(instance_type, {})
        return tuple(known.get("PlacementGroupInfo", {}).get("SupportedStrategies", ()))

    def instances(self) -> tuple[Any, ...]:
        """Every instance of every region."""
        return tuple(self._instances.values())

    def instance(self, instance_id: str) -> Any | None:
        """The instance with that id."""
        return self._instances.get(instance_id)

    def state(self, instance_id: str) -> str | None:
        """The state of the instance; None when there is no such instance."""
        instance = self.instance(instance_id)
        return str(instance.state) if instance else None

    def set_state(self, instance_id: str, state: str, *, reason: Reason | None = None) -> None:
        """Put an instance into a state."""
        instance = self.instance(instance_id)
        if instance is None:
            return
        if reason:  # before the state, which somebody may read at any time
            code, message = reason
            instance.state_reason = StateReason(f"{code}: {message}", code)
        instance._state.name = state  # noqa: SLF001 - moto has no way to say it
        instance._state.code = STATE_CODES[state]  # noqa: SLF001

    def ends_with_guest(self, instance_id: str) -> bool:
        """Whether the instance is terminated, not stopped, when its guest powers itself off."""
        instance = self.instance(instance_id)
        return instance is None or instance.instance_initiated_shutdown_behavior == "terminate"

    def keep_interfaces(self, instance_ids: Iterable[str]) -> None:
        """Let TerminateInstances leave the interfaces: an address is free when its machine is off."""
        for instance in map(self.instance, instance_ids):
            if instance is not None:
                for nic in instance.nics.values():
                    nic.delete_on_termination = False

    def end(self, instance_id: str, reason: Reason | None = None) -> None:
        """Take an instance's volumes and profile from it, once; a later TerminateInstances changes nothing.

        moto's own way would have it terminated at once, and somebody may look.
        """
        instance = self.instance(instance_id)
        if instance is not None and "terminate" not in vars(instance):
            self.keep_interfaces((instance_id,))
            code, message = reason or BY_USER
            instance.state_reason = StateReason(f"{code}: {message}", code)
            for nic in instance.nics.values():
                nic.stop()
            instance.teardown_defaults()
            associations = instance.ec2_backend.iam_instance_profile_associations
            if (association := associations.get(instance_id)) is not None:
                instance.ec2_backend.disassociate_iam_instance_profile(
                    association_id=association.association_id
                )
            instance.terminate = lambda: copy.copy(instance._state)  # noqa: SLF001

    def free_addresses(self, instance_id: str) -> None:
        """Delete the interfaces of a terminated instance: its addresses may be given out again."""
        instance = self.instance(instance_id)
        if instance is not None:
            for nic in instance.nics.values():
                instance.ec2_backend.enis.pop(nic.id, None)
                instance.ec2_backend.tags.pop(nic.id, None)
                nic.subnet.del_subnet_ip(nic.private_ip_address)
            instance._private_ips.clear()  # noqa: SLF001 - else moto frees them again, when others have them

    def group_is_used(self, region: str, name: str) -> bool:
        """Whether a living instance, or an interface without one, is in the group of that id or name."""
        backend = self.region(region)
        living = (each for each in backend.all_instances() if each.state != "terminated")
        interfaces = [nic for instance in living for nic in instance.nics.values()]
        interfaces += [nic for nic in backend.enis.values() if nic.instance is None]
        return any(name in (group.id, group.name) for nic in interfaces for group in nic.group_set)

    def is_spot(self, instance_id: str) -> bool:
        """Whether the instance is on the spot market."""
        instance = self.instance(instance_id)
        return instance is not None and instance.lifecycle == "spot"

    def impair(self, instance_id: str) -> None:
        """The instance fails its status checks, and its metadata has nothing for it."""
        instance = self.instance(instance_id)
        if instance is not None:
            instance.impaired = True

    def hide(self, instance_id: str, seconds: float) -> None:
        """The instance is not found for so long, as EC2's answers may be older than a launch."""
        instance = self.instance(instance_id)
        if instance is not None:
            instance.seen_from = time.monotonic() + seconds

    def cut(self, instance_id: str, seconds: float) -> None:
        """The instance is off the network for so long."""
        instance = self.instance(instance_id)
        if instance is not None:
            instance.cut_until = max(instance.cut_until, time.monotonic() + seconds)

    def join_all(self) -> None:
        """No instance is off the network any more."""
        for instance in self.instances():
            instance.cut_until = 0.0

    def hidden(self) -> frozenset[str]:
        """The instances that are not to be found yet."""
        now = time.monotonic()
        return frozenset(instance.id for instance in self.instances() if now < instance.seen_from)

    def give_notice(self, instance_id: str, end: datetime) -> None:
        """Tell the instance, by its metadata, when it will be interrupted."""
        instance = self.instance(instance_id)
        if instance is not None:
            instance.interruption = end

    def facts(self, address: str) -> Facts | None:
        """What the metadata service tells the instance with this private address."""
        for instance in self.instances():
            if instance.private_ip_address == address and instance.state not in ("terminated", "stopped"):
                return None if instance.impaired or instance.is_cut else self._facts(instance)
        return None

    def _facts(self, instance: Any) -> Facts:
        nic = instance.nics[0]
        return Facts(
            instance_id=instance.id,
            image_id=instance.image_id,
            instance_type=instance.instance_type,
            launch_index=int(instance.ami_launch_index),
            region=instance.region_name,
            zone=str(instance.availability_zone),
            account=str(instance.owner_id),
            private_address=nic.private_ip_address,
            mac=mac_address(nic.private_ip_address),
            architecture=str(instance.architecture),
            security_groups=tuple(group.name for group in nic.group_set),
            public_key=self._public_key(instance),
            user_data=base64.b64decode(str(instance.user_data)) if instance.user_data else None,
            token_required=instance.metadata_options.http_tokens == "required",
            spot=self.is_spot(instance.id),
            interruption=instance.interruption,
            tags=dict(instance.ec2_backend.tags.get(instance.id, {})),
            is_enabled=instance.metadata_options.http_endpoint != "disabled",
            shows_tags=instance.metadata_options.instance_metadata_tags == "enabled",
            hop_limit=int(instance.metadata_options.http_put_response_hop_limit),
        )

    def _public_key(self, instance: Any) -> tuple[str, str] | None:
        pair = instance.ec2_backend.key_pairs.get(instance.key_name)
        return (pair.key_name, pair.public_key.strip()) if pair else None
