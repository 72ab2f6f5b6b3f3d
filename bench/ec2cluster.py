"""Make the EC2 requests of dask-cloudprovider's EC2Cluster; bench/launch.py runs it with its Python.

    AWS_ENDPOINT_URL=http://127.0.0.1:… python bench/ec2cluster.py 8

The package's own code makes each instance; only its wait for the scheduler's port is left out, as nothing
boots.
"""

import asyncio
import json
import resource
import sys
import time

import dask_cloudprovider.config  # noqa: F401 - reads its defaults
from dask_cloudprovider.aws import EC2Cluster


async def main(workers: int) -> None:
    """Make a scheduler, then all workers at once, as SpecCluster does; print time and memory."""
    # Private addresses: moto's public ones exist on the Internet.
    cluster = EC2Cluster(
        region="us-east-1",
        availability_zone=None,
        instance_type="m5.2xlarge",
        use_private_ip=True,
        asynchronous=True,
        n_workers=workers,
    )
    sizes: dict[str, int] = {}
    render = cluster.render_process_cloud_init

    def measured(process):
        text = render(process)
        sizes["head" if process is scheduler else "worker"] = len(text.encode())
        return text

    cluster.render_process_cloud_init = measured
    start = time.monotonic()
    scheduler = cluster.scheduler_class(**cluster.scheduler_options)
    address, _ = await scheduler.create_vm()
    machines = [
        cluster.worker_class(scheduler=f"{cluster.protocol}://{address}:8786", **cluster.worker_options)
        for _ in range(workers)
    ]
    await asyncio.gather(*(machine.create_vm() for machine in machines))
    figures = {
        "seconds": time.monotonic() - start,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "user_data": sizes,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


asyncio.run(main(int(sys.argv[1])))
