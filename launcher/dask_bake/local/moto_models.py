"""moto's models, imported under the settings that the local cloud needs."""

import os

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
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import StateReason
from moto.ec2.utils import random_ami_id, random_snapshot_id

__all__ = [
    "DEFAULT_ACCOUNT_ID",
    "INSTANCE_TYPES",
    "Ami",
    "Snapshot",
    "StateReason",
    "ec2_backends",
    "random_ami_id",
    "random_snapshot_id",
]
