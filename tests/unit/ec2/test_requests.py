"""Requests against botocore's model of EC2: that the oldest permitted boto3 knows every parameter."""

import re
import tomllib
from pathlib import Path

from botocore.loaders import Loader

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
NEWEST = {("EbsBlockDevice", "VolumeInitializationRate"): (1, 38, 10)}
"""The youngest parameters of the requests, and the first botocore whose model has them."""


def test_the_oldest_permitted_boto3_knows_the_youngest_parameters():
    """An older one refuses a request with them, without asking EC2."""
    (floor,) = re.findall(r'"boto3>=([0-9.]+)"', " ".join(map(repr, dependencies())).replace("'", '"'))
    shapes = Loader().load_service_model("ec2", "service-2")["shapes"]

    for (shape, member), first in NEWEST.items():
        assert member in shapes[shape]["members"]
        assert tuple(map(int, floor.split("."))) >= first


def dependencies() -> list[str]:
    found: list[str] = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    return found
