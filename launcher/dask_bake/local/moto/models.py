"""The models of moto that the local cloud uses, imported with the settings that it needs."""

import os

# moto reads them when it is imported; any text counts as true.
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
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, StateReason
from moto.ec2.models.subnets import Subnet
from moto.ec2.utils import (
    EC2_PREFIX_TO_RESOURCE,
    filter_dict_attribute_mapping,
    get_prefix,
    is_tag_filter,
    passes_filter_dict,
    random_ami_id,
    random_snapshot_id,
)
from moto.iam.exceptions import NotFoundException as NoSuchEntity
from moto.iam.models import iam_backends

__all__ = [
    "DEFAULT_ACCOUNT_ID",
    "EC2_PREFIX_TO_RESOURCE",
    "INSTANCE_TYPES",
    "Ami",
    "Instance",
    "NoSuchEntity",
    "Snapshot",
    "StateReason",
    "Subnet",
    "ec2_backends",
    "get_prefix",
    "has_instance_filter",
    "iam_backends",
    "passes_filter_dict",
    "random_ami_id",
    "random_snapshot_id",
]

# DescribeInstances' filters that moto does not have, as paths from an instance.
filter_dict_attribute_mapping.update(
    {
        "client-token": "client_token",
        "instance-lifecycle": "lifecycle",
        "network-interface.group-id": "security_groups.id",
        "network-interface.subnet-id": "subnet_id",
        "placement-group-name": "placement.group_name",
        "reservation-id": "reservation_id",
        "spot-instance-request-id": "spot_instance_request_id",
    }
)


def has_instance_filter(name: str) -> bool:
    """Return whether DescribeInstances has the filter."""
    return name in filter_dict_attribute_mapping or bool(is_tag_filter(name))
