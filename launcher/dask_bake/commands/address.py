"""``dask-bake address``: where a cluster's services are, and how they are used."""

from dask_bake.clusters.inventory import find
from dask_bake.ec2.api import Ec2
from dask_bake.models.cloud import Cloud
from dask_bake.view import cluster_json, clusters
from dask_bake.view.terminal import Terminal


def run(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Shows the addresses; nobody but EC2 is asked for them."""
    cluster = find(ec2, cloud, name)
    document = cluster_json.address_document(cluster)
    if json_output:
        terminal.write_json(clusters.as_json(document))
    else:
        terminal.out.print(clusters.address_panel(cluster, document))
    return 0
