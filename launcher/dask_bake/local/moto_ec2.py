"""What moto knows of EC2, prepared for machines that boot: the only module that touches moto's models."""

import base64
import copy
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

# Read by moto when it is imported; any text is true.
os.environ.update(
    MOTO_EC2_LOAD_DEFAULT_AMIS="false",
    MOTO_ENABLE_AMI_VALIDATION="true",
    MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION="true",
    MOTO_ENABLE_KEYPAIR_VALIDATION="true",
    MOTO_S3_DEFAULT_KEY_BUFFER_SIZE="1048576",
)

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.models.instances import StateReason

from dask_bake.local.metadata import Facts
from dask_bake.local.network import Network, mac_address
from dask_bake.local.store import ImageStore, StoredImage

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
        self._network = network
        self._store = store
        self._prepared: dict[str, Any] = {}
        self._first_subnet: Any = None

    def region(self, name: str) -> Any:
        """moto's backend of a region, prepared when it is first asked for."""
        if name not in self._prepared:
            backend = ec2_backends[DEFAULT_ACCOUNT_ID][name]
            self._use_local_network(backend)
            for image in self._store.all():
                if image.public or image.region == name:
                    backend.amis[image.id] = _as_ami(backend, image)
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

    def keep_image(self, region: str, image_id: str, layers: tuple[str, ...]) -> None:
        """Write down an image that CreateImage made: it survives. EC2 says ``ebs`` where moto does not."""
        ami = self.region(region).amis[image_id]
        ami.root_device_type = "ebs"
        ami.root_device_name = "/dev/xvda"
        self._store.save(
            StoredImage(
                id=ami.id,
                name=ami.name,
                description=ami.description or "",
                owner=ami.owner_id,
                region=region,
                created=ami.creation_date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                layers=layers,
                architecture=ami.architecture,
                tags=_tags(ami),
            )
        )

    def tag_snapshot(self, region: str, image_id: str, tags: Mapping[str, str]) -> None:
        """Tag the snapshot of an image."""
        self.region(region).amis[image_id].ebs_snapshot.add_tags(tags)

    def drop_image(self, region: str, image_id: str) -> None:
        """Take back an image that could not be kept."""
        del self.region(region).amis[image_id]

    def owns_image(self, region: str, image_id: str) -> bool:
        """Whether the image is the account's own; so is one that does not exist, for moto to say so."""
        ami = self.region(region).amis.get(image_id)
        return ami is None or ami.owner_id == DEFAULT_ACCOUNT_ID

    def image_name_is_taken(self, region: str, name: str) -> bool:
        """Whether one of the account's images has that name."""
        images = self.region(region).amis.values()
        return any(image.name == name and image.owner_id == DEFAULT_ACCOUNT_ID for image in images)

    def forget_image(self, image_id: str, *, keep: frozenset[str]) -> None:
        """Remove a deregistered image and the layers that nothing else needs."""
        self._store.remove(image_id)
        self._store.sweep(keep)

    def keep_tags(self, region: str, image_id: str) -> None:
        """Write down an image's tags after a change."""
        stored, ami = self._store.get(image_id), self.region(region).amis.get(image_id)
        if stored and ami:
            self._store.save(replace(stored, tags=_tags(ami)))


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}


def _as_ami(backend: Any, image: StoredImage) -> Any:
    return Ami(
        backend,
        image.id,
        name=image.name,
        description=image.description,
        owner_id=image.owner,
        public=image.public,
        virtualization_type="hvm",
        architecture=image.architecture,
        creation_date=datetime.fromisoformat(image.created).replace(tzinfo=None),
        root_device_type="ebs",
        root_device_name=image.root_device,
        hypervisor="xen",
        region_name=f"{backend.region_name}a",
        tags=image.tags,
    )
