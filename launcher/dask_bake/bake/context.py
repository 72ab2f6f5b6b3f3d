"""What a bake works with: the shapes of EC2, of Packer and of whoever proves an image, and of their fakes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dask_bake.bake.options import BakeOptions
from dask_bake.ec2.protocols import CloudEdge
from dask_bake.environment.installers import Installer
from dask_bake.events import Notify
from dask_bake.models.cloud import Cloud
from dask_bake.models.ec2 import Image, InstanceType, Subnet
from dask_bake.models.tags import Tags


class Ec2(CloudEdge, Protocol):
    """What a bake asks of EC2, besides what a launch asks of it."""

    def find_images(
        self, *, owners: Sequence[str], filters: Mapping[str, str | Sequence[str]]
    ) -> tuple[Image, ...]:
        """The images that match, newest first."""

    def image(self, image_id: str) -> Image:
        """The image."""

    def subnets(self) -> tuple[Subnet, ...]:
        """The default subnets, one of which is to bake in."""

    def instance_types(self, names: Sequence[str]) -> tuple[InstanceType, ...]:
        """The instance types of these names."""


class Images(Protocol):
    """What is done with an image once it is there."""

    def require_imdsv2(self, image_id: str) -> None:
        """Instances of the image answer for metadata to those alone who have a token."""

    def deprecate(self, image_id: str, when: datetime) -> None:
        """From then on EC2 shows the image to its owner alone, as outdated."""

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        """Adds the tags."""

    def remove(self, image: Image) -> None:
        """The image and its snapshot are no more."""


class Builder(Protocol):
    """What a bake asks of Packer."""

    def init(self, plugins: Path, notify: Notify) -> None:
        """The builder can be used."""

    def build(
        self, template: Path, variables: Mapping[str, object], credentials: Mapping[str, str], notify: Notify
    ) -> str:
        """The id of the image that was built."""


class Prover(Protocol):
    """What a bake asks of whoever boots an image to see whether it works."""

    def prove(self, image: Image, digest: str, options: BakeOptions, notify: Notify) -> None:
        """Raises unless it does."""


@dataclass(frozen=True)
class Workshop:
    """All that a bake works with: the cloud and its edges, what an image is, where there is room.

    ``find_builder``, ``caller`` and ``credentials`` are asked only when there is something to build.
    """

    cloud: Cloud
    ec2: Ec2
    images: Images
    find_builder: Callable[[], Builder]
    prover: Prover
    installer: Installer
    caller: Callable[[], str]
    credentials: Callable[[], Mapping[str, str]]
    source: Path
    cache: Path
