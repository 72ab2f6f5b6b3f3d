"""What moto knows of EC2, prepared for machines that boot."""

import base64
import copy
from collections.abc import Iterable
from typing import Any

from dask_bake.local.metadata import Facts
from dask_bake.local.moto_images import MotoImages
from dask_bake.local.moto_models import DEFAULT_ACCOUNT_ID, INSTANCE_TYPES, StateReason, ec2_backends
from dask_bake.local.network import Network, mac_address
from dask_bake.local.store import ImageStore

STATE_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
"""EC2's codes for instance states (API reference, InstanceState)."""
RESERVED_ADDRESSES = 5
"""EC2 keeps the first four addresses of a subnet, and the last."""

Reason = tuple[str, str]
"""EC2's StateReason, as its code and its message."""


class MotoEc2:
    """moto's EC2, with the default VPC on the local network and the images that the store holds."""

    def __init__(self, network: Network, store: ImageStore) -> None:
        self.images = MotoImages(store)
        self._network = network
        self._prepared: dict[str, Any] = {}
        self._first_subnet: Any = None

    def region(self, name: str) -> Any:
        """moto's backend of a region, prepared when it is first asked for."""
        if name not in self._prepared:
            backend = ec2_backends[DEFAULT_ACCOUNT_ID][name]
            self._use_local_network(backend)
            self.images.load(backend)
            self._prepared[name] = backend
        return self._prepared[name]

    def _use_local_network(self, backend: Any) -> None:
        for made_by_moto in (backend.vpcs, backend.subnets, backend.groups):
            made_by_moto.clear()
        block = str(self._network.block)
        vpc = backend.create_vpc(block, is_default=True)
        backend.default_vpc = vpc
        subnet = backend.create_subnet(vpc.id, block, availability_zone=f"{backend.region_name}a")
        subnet.map_public_ip_on_launch = "false"
        self._share_addresses(subnet)

    def _share_addresses(self, subnet: Any) -> None:
        """All regions are on one bridge: an address that one gives out is taken in the others."""
        self._first_subnet = self._first_subnet or subnet
        for name in ("_subnet_ips", "_unused_ips", "_base_avail_ip_iterator"):
            setattr(subnet, name, getattr(self._first_subnet, name))

    def free_address_count(self) -> int:
        """How many instances still find an address."""
        return self._network.block.num_addresses - RESERVED_ADDRESSES - len(self._first_subnet._subnet_ips)  # noqa: SLF001

    def default_subnet(self, region: str) -> str:
        """The id of the one subnet."""
        zones = self.region(region).subnets.values()
        return str(next(iter(next(iter(zones)))))

    def architectures(self, instance_type: str) -> tuple[str, ...]:
        """What an instance of that type can run; nothing for a type that EC2 does not have."""
        known = INSTANCE_TYPES.get(instance_type, {})
        return tuple(known.get("ProcessorInfo", {}).get("SupportedArchitectures", ()))

    def instances(self) -> tuple[Any, ...]:
        """Every instance of every region."""
        backends = tuple(self._prepared.values())
        return tuple(instance for backend in backends for instance in backend.all_instances())

    def instance(self, instance_id: str) -> Any | None:
        """The instance with that id."""
        return next((instance for instance in self.instances() if instance.id == instance_id), None)

    def state(self, instance_id: str) -> str | None:
        """The state of the instance; None when there is no such instance."""
        instance = self.instance(instance_id)
        return str(instance.state) if instance else None

    def set_state(self, instance_id: str, state: str, *, reason: Reason | None = None) -> None:
        """Put an instance into a state."""
        instance = self.instance(instance_id)
        if instance is None:
            return
        instance._state.name = state  # noqa: SLF001 - moto has no way to say it
        instance._state.code = STATE_CODES[state]  # noqa: SLF001
        if reason:
            code, message = reason
            instance.state_reason = StateReason(f"{code}: {message}", code)

    def ends_with_guest(self, instance_id: str) -> bool:
        """Whether the instance is terminated, not stopped, when its guest powers itself off."""
        instance = self.instance(instance_id)
        return instance is None or instance.instance_initiated_shutdown_behavior == "terminate"

    def keep_interfaces(self, instance_ids: Iterable[str]) -> None:
        """Let TerminateInstances leave the interfaces: an address is free when its machine is off."""
        for instance in self.instances():
            if instance.id in instance_ids:
                for nic in instance.nics.values():
                    nic.delete_on_termination = False

    def end(self, instance_id: str) -> None:
        """Terminate in moto, once: a later TerminateInstances neither fails nor changes anything."""
        instance = self.instance(instance_id)
        if instance is not None and "terminate" not in vars(instance):
            self.keep_interfaces((instance_id,))
            instance.terminate()
            instance.terminate = lambda: copy.copy(instance._state)  # noqa: SLF001

    def free_addresses(self, instance_id: str) -> None:
        """Delete the interfaces of a terminated instance: its addresses may be given out again."""
        instance = self.instance(instance_id)
        if instance is not None:
            for nic in instance.nics.values():
                instance.ec2_backend.enis.pop(nic.id, None)
                nic.subnet.del_subnet_ip(nic.private_ip_address)

    def group_is_used(self, region: str, name: str) -> bool:
        """Whether an instance that is not terminated is in the security group with that id or name."""
        return any(
            name in (group.id, group.name)
            for instance in self.region(region).all_instances()
            if instance.state != "terminated"
            for nic in instance.nics.values()
            for group in nic.group_set
        )

    def facts(self, address: str) -> Facts | None:
        """What the metadata service tells the instance with this private address."""
        for instance in self.instances():
            if instance.private_ip_address == address and instance.state not in ("terminated", "stopped"):
                return self._facts(instance)
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
        )

    def _public_key(self, instance: Any) -> tuple[str, str] | None:
        pair = instance.ec2_backend.key_pairs.get(instance.key_name)
        return (pair.key_name, pair.public_key.strip()) if pair else None
