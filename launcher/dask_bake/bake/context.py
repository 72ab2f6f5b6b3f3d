"""What a bake works with: the shapes of EC2, of Packer and of whoever proves an image, and of their fakes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dask_bake.bake.options import BakeOptions
from dask_bake.ec2.protocols import BakeApi, ImageApi
from dask_bake.environment.installers import Installer
from dask_bake.events import Notify
from dask_bake.models.cloud import Cloud
from dask_bake.models.ec2 import Image


class ImageBuilder(Protocol):
    """What a bake asks of Packer."""

    def init(self, plugins: Path, notify: Notify) -> None:
        """The builder can be used."""

    def build(
        self, template: Path, variables: Mapping[str, object], credentials: Mapping[str, str], notify: Notify
    ) -> str:
        """The id of the image that was built."""


Verify = Callable[[Image, str, BakeOptions, Notify], None]
"""Boots the image of that digest, and raises unless it works."""


@dataclass(frozen=True)
class BakeContext:
    """All that a bake works with: the cloud and its edges, what an image is, where there is room.

    ``find_builder``, ``caller`` and ``credentials`` are asked only when there is something to build.
    """

    cloud: Cloud
    ec2: BakeApi
    images: ImageApi
    find_builder: Callable[[], ImageBuilder]
    verify: Verify
    installer: Installer
    caller: Callable[[], str]
    credentials: Callable[[], Mapping[str, str]]
    source: Path
    cache: Path
