"""``dask-bake address``: where a cluster's services are, and how they are used."""

from dask_bake import documents, view
from dask_bake.ec2 import Ec2
from dask_bake.inventory import find
from dask_bake.models import Cloud
from dask_bake.terminal import Terminal


def run(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Shows the addresses; nobody but EC2 is asked for them."""
    cluster = find(ec2, cloud, name)
    document = documents.address_document(cluster)
    if json_output:
        terminal.write_json(view.as_json(document))
    else:
        terminal.out.print(view.address_panel(cluster, document))
    return 0
