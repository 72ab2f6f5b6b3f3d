"""What the documentation of EC2Cluster shows, with BakeCluster: the imported name and two arguments differ.

There:  from dask_cloudprovider.aws import EC2Cluster
        cluster = EC2Cluster(instance_type="t3.large", n_workers=2, filesystem_size=40)
"""

import dask.array as da
from dask.distributed import Client

from dask_bake import BakeCluster

cluster = BakeCluster(type="t3.large", n_workers=2, volume_size=40)
client = Client(cluster)  # type: ignore[no-untyped-call]

cluster.scale(3)
client.wait_for_workers(3)

array = da.ones((2_000, 2_000), chunks=(500, 500))
print(f"{array.sum().compute():,.0f} by {len(cluster.scheduler_info['workers'])} workers")

client.close()  # type: ignore[no-untyped-call]
cluster.close()
