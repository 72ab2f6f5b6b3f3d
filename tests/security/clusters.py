"""Launch clusters for prowler in a local cloud without machines."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from dask_bake import clouds
from dask_bake.commands import launch
from dask_bake.ec2 import api
from dask_bake.ec2.images import connect_images
from dask_bake.local.settings import Settings
from dask_bake.local.storage.image_store import ImageStore
from dask_bake.models.cloud import Cloud, Connect
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from dask_bake.view.terminal import Terminal
from fakes import AllRegistered, Ec2WithHostKey
from isolation import KEY_PAIR

# moto reads this when it is imported; without it there are a thousand sample images.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

BEHIND = {"connect": Connect.BASTION, "bastion": "bastion.example", "cidr": ("172.31.0.4/32",)}
CLUSTERS = (
    LaunchOptions(name="public", count=3),
    LaunchOptions(name="private", count=3, private=True, **BEHIND),
)
DISK = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10, "Encrypted": True, "DeleteOnTermination": True}}
"""The disk of Packer's template, except its throughput."""


class OneProcessRegistered(AllRegistered):
    """A connection to a head with which one worker process of each node has registered."""

    processes = 1


@contextmanager
def launched_clusters() -> Iterator[str]:
    """Yield the endpoint of an EC2 in which an image was baked and clusters are running."""
    from fake_local_cloud import DEBIAN, Server

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(name="security", root=Path(folder))
        store = ImageStore(settings)
        store.layer("base").mkdir(parents=True)
        store.save(DEBIAN)
        with Server(settings, "10.9.0.0/20").listening() as server:
            cloud = clouds.local_cloud(server.url, KEY_PAIR, None)
            _bake(server, cloud)
            for options in CLUSTERS:
                _launch(options, cloud)
            yield server.url


def _bake(server: Any, cloud: Cloud) -> None:
    """Make an image with the tags of a finished bake."""
    instance = server.stopped(BlockDeviceMappings=[DISK])
    image_id = server.ec2.create_image(InstanceId=instance["InstanceId"], Name="dask-bake-1")["ImageId"]
    server.terminate(instance)
    images = connect_images(cloud, lambda _: None)
    images.tag([image_id], ((Tag.MANAGED, "true"), (Tag.DIGEST, "1"), (Tag.VERIFIED, Verified.YES)))
    images.require_imdsv2(image_id)


def _launch(options: LaunchOptions, cloud: Cloud) -> None:
    terminal = Terminal(out=Console(file=io.StringIO()), err=Console(file=io.StringIO()))
    edge: Any = Ec2WithHostKey(api.connect(cloud, terminal.notify))
    launch.run(
        options,
        cloud,
        edge,
        terminal,
        dry_run=False,
        json_output=False,
        make_connection=lambda *_: OneProcessRegistered(edge),
    )
