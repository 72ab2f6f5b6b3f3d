"""boto3's client for the EC2 of a cloud: whose settings count, how long it waits, how often it tries."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from dask_bake import __version__, clouds
from dask_bake.ec2_errors import translated
from dask_bake.events import Called, Notify
from dask_bake.models import Cloud

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

ATTEMPTS = 5
"""Of a call that may be repeated: about 8 s of back-off in all, then no answer is said to be none."""


def clients(cloud: Cloud, notify: Notify) -> "Callable[[int], EC2Client]":
    """A client for each number of attempts, all of one session; every call is also an event."""
    session = clouds.local_session() if cloud.endpoint_url else clouds.aws_session()
    session.register("before-call.ec2", lambda **about: notify(Called(about["model"].name)))

    def client(attempts: int) -> "EC2Client":
        environment = dict(cloud.environment)
        with translated("connecting"):
            return boto3.Session(botocore_session=session).client(
                "ec2",
                region_name=cloud.region,
                endpoint_url=cloud.endpoint_url,
                aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
                aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
                config=Config(
                    connect_timeout=5,
                    read_timeout=60,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    user_agent_extra=f"dask-bake/{__version__}",
                    proxies={} if cloud.endpoint_url else None,
                ),
            )

    return client
