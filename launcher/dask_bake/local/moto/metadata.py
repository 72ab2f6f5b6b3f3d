"""The instance metadata of moto's instances, by the private address from which it is requested."""

import base64
from collections.abc import Callable

from dask_bake.local.moto.instances import Instances, LocalInstance
from dask_bake.local.network.bridge import mac_address
from dask_bake.local.network.imds import InstanceMetadata, ProfileMetadata

FindProfile = Callable[[LocalInstance], ProfileMetadata | None]


def find_metadata(instances: Instances, find_profile: FindProfile, address: str) -> InstanceMetadata | None:
    """Return the metadata of the instance with that address; None without one, or where a fault hides it."""
    for instance in instances.all():
        if instance.private_ip_address == address and instance.state not in ("terminated", "stopped"):
            hidden = instance.impaired or instance.is_cut
            return None if hidden else _metadata(instance, find_profile(instance))
    return None


def _metadata(instance: LocalInstance, profile: ProfileMetadata | None) -> InstanceMetadata:
    options = instance.metadata_options
    return InstanceMetadata(
        instance_id=instance.id,
        image_id=instance.image_id,
        instance_type=instance.instance_type,
        launch_index=int(instance.ami_launch_index),
        region=instance.region_name,
        zone=str(instance.availability_zone),
        account=str(instance.owner_id),
        private_address=instance.address,
        mac=mac_address(instance.address),
        architecture=str(instance.architecture),
        security_groups=tuple(group.name for group in instance.nics[0].group_set),
        public_key=_public_key(instance),
        user_data=base64.b64decode(str(instance.user_data)) if instance.user_data else None,
        token_required=options.http_tokens == "required",
        spot=instance.is_spot,
        interruption=instance.interruption,
        profile=profile,
        tags=dict(instance.ec2_backend.tags.get(instance.id, {})),
        is_enabled=options.http_endpoint != "disabled",
        shows_tags=options.instance_metadata_tags == "enabled",
        hop_limit=int(options.http_put_response_hop_limit),
    )


def _public_key(instance: LocalInstance) -> tuple[str, str] | None:
    pair = instance.ec2_backend.key_pairs.get(instance.key_name)
    return (pair.key_name, pair.public_key.strip()) if pair else None
