"""The parameters that RunInstances takes from the image where the request has none."""

import re
from typing import Any

from dask_bake.local.query_protocol import Refusal


def apply_image_defaults(parameters: dict[str, str], image: Any) -> None:
    """Complete a request with its image's root disk and metadata options.

    Raises:
        Refusal: when the requested root disk is smaller than the image.
    """
    if image.imds_support:  # ModifyImageAttribute, ImdsSupport: both are set automatically
        parameters.setdefault("MetadataOptions.HttpTokens", "required")
        parameters.setdefault("MetadataOptions.HttpPutResponseHopLimit", "2")
    root = _root_mapping(parameters, image.root_device_name)
    snapshot = image.ebs_snapshot
    parameters.setdefault(f"{root}.Ebs.SnapshotId", snapshot.id)
    parameters.setdefault(f"{root}.Ebs.VolumeSize", str(snapshot.volume_size))
    parameters.setdefault(f"{root}.Ebs.VolumeType", image.volume_type)
    parameters.setdefault(f"{root}.Ebs.DeleteOnTermination", "true")
    if snapshot.encrypted:
        parameters[f"{root}.Ebs.Encrypted"] = "true"
        if not snapshot.has_own_key:
            parameters.setdefault(f"{root}.Ebs.KmsKeyId", snapshot.kms_key_id)
    size = int(parameters[f"{root}.Ebs.VolumeSize"])
    if size < snapshot.volume_size:
        raise Refusal(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', "
            f"expect size>= {snapshot.volume_size}GB",
        )


def _root_mapping(parameters: dict[str, str], device: str) -> str:
    """Return the prefix of the root disk's mapping in the request; add the mapping if there is none."""
    devices = {
        int(match[1]): value
        for name, value in parameters.items()
        if (match := re.fullmatch(r"BlockDeviceMapping\.(\d+)\.DeviceName", name))
    }
    number = next((number for number, value in devices.items() if value == device), len(devices) + 1)
    parameters[f"BlockDeviceMapping.{number}.DeviceName"] = device
    return f"BlockDeviceMapping.{number}"
