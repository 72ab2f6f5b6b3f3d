"""``dask-bake extend``: the end of a cluster put off, on its head."""

from dataclasses import asdict

from dask_bake.clusters.auto_shutdown import EXTEND, parse_switches
from dask_bake.clusters.inventory import find
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Cloud
from dask_bake.ssh.command import run_there
from dask_bake.ssh.connect import check_door, node_of, reach
from dask_bake.view import clusters
from dask_bake.view.terminal import Terminal


def run(
    cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, seconds: int, json_output: bool
) -> int:
    """Has the head put off the end by so much, and shows what will end the cluster then."""
    if not seconds:
        raise UsageError("--by is 0, which puts nothing off", hint="--by 2h")
    cluster = find(ec2, cloud, name)
    head = reach(cluster, node_of(cluster, 0), cloud, ec2)
    check_door(cluster, cloud)
    done = run_there(head, ["sudo", "-n", EXTEND, str(seconds)])
    switches = parse_switches(done.stdout)
    if switches is None:
        said = " ".join(done.stderr.split()) or "it said nothing"
        raise BakeError(
            f"the end of cluster {cluster.name} was not put off: {said}",
            hint=f"{cluster.command('status')}; what does not end by itself needs no extension",
        )
    if json_output:
        terminal.write_json(clusters.as_json({"switches": [asdict(switch) for switch in switches]}))
    else:
        terminal.out.print(clusters.switches_text(cluster, switches))
    return 0
