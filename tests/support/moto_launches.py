"""Launch on moto's EC2 in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import boto3

from dask_bake import clouds
from dask_bake.commands import launch as launch_command
from dask_bake.ec2 import api as ec2
from dask_bake.models.cloud import Cloud
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from dask_bake.view.terminal import Terminal
from fakes import AllRegistered, Ec2WithHostKey
from http_servers import serving
from resource_check import checked

OPTIONS = LaunchOptions(count=3, nprocs=2)


def everything(aws: Any) -> list[str]:
    """Return everything that could cost money or occupy a name."""
    instances = [
        instance["InstanceId"]
        for reservation in aws.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] != "terminated"
    ]
    groups = [group["GroupName"] for group in aws.describe_security_groups()["SecurityGroups"]]
    return instances + [name for name in groups if name != "default"]


def baked(aws: Any) -> str:
    """Return the id of an image as ``bake`` makes them."""
    image_id = aws.register_image(Name="dask-1", RootDeviceName="/dev/xvda")["ImageId"]
    tag(
        aws,
        image_id,
        {Tag.MANAGED: "true", Tag.DIGEST: "abc", Tag.USER: "admin", Tag.VERIFIED: Verified.YES},
    )
    return str(image_id)


def tag(aws: Any, image_id: str, tags: dict[str, str]) -> None:
    """Tag the image."""
    aws.create_tags(Resources=[image_id], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


@contextmanager
def answering_cloud() -> Iterator[Cloud]:
    """Yield AWS, with a server of this process that answers with the caller's address."""
    with serving(lambda _: (200, "192.0.2.7")) as url:
        yield replace(clouds.aws_cloud("us-east-1", {}), address_url=url)


def launch(
    cloud: Cloud,
    options: LaunchOptions = OPTIONS,
    *,
    connection: type[AllRegistered] = AllRegistered,
    dry_run: bool = False,
) -> int:
    """Launch, and check the resources."""
    terminal = Terminal()
    edge = Ec2WithHostKey(ec2.connect(cloud, terminal.notify))
    return checked(
        boto3.client("ec2", region_name=cloud.region),
        lambda: launch_command.run(
            options,
            cloud,
            edge,
            terminal,
            dry_run=dry_run,
            json_output=True,
            make_connection=lambda *_: connection(edge),
        ),
        nodes=0 if dry_run else options.count,
    )
