"""External dependencies of a bake: the cloud, Packer, the verifier, folders; tests pass fakes."""

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
    """The part of Packer that a bake uses."""

    def init(self, plugins: Path, notify: Notify) -> None:
        """Install the plugins."""

    def build(
        self, template: Path, variables: Mapping[str, object], credentials: Mapping[str, str], notify: Notify
    ) -> str:
        """Build the template and return the image's id."""


Verify = Callable[[Image, str, BakeOptions, Notify], None]
"""Boot the image of that digest, and raise unless it works."""


@dataclass(frozen=True)
class BakeContext:
    """The cloud, its APIs, the installer, and the folders of a bake.

    ``find_builder``, ``caller`` and ``credentials`` are called only when there is something to build.
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
