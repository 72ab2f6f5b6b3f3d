"""Clusters and launch plans as plain data, for ``--json`` and ``--file``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dask_bake.cloud_init.render import mask_private_keys
from dask_bake.clusters.auto_shutdown import ShutdownTimer
from dask_bake.clusters.condition import Condition
from dask_bake.errors import UsageError
from dask_bake.hints import cluster_command, complete, python_call
from dask_bake.launch.dry_run import Permission, planned_calls
from dask_bake.launch.plan import LaunchPlan
from dask_bake.launch.pricing import Cost
from dask_bake.models.cluster import DASHBOARD_PORT, JUPYTER_PORT, SCHEDULER_PORT, Cluster, Node
from dask_bake.models.tags import Tag
from dask_bake.notebooks.folder import SavedNotebooks
from dask_bake.ssh.tunnel import dask_address


def scheduler_address(cluster: Cluster) -> str:
    """Return the scheduler's address within the cluster; empty without a head or without Dask."""
    scheme = "tls" if cluster.has_tls else "tcp"
    if cluster.head is None or not cluster.has_dask:
        return ""
    return f"{scheme}://{cluster.head.private_address}:{SCHEDULER_PORT}"


def cluster_document(
    cluster: Cluster,
    registered: Mapping[str, int] | None = None,
    timers: Sequence[ShutdownTimer] | None = None,
    its: Condition | None = None,
) -> dict[str, Any]:
    """Return a cluster; ``workers`` and ``switches`` are null where the head was not queried.

    Args:
        its: its condition; without it, ``state`` is left out.
    """
    state = {} if its is None else {"state": str(its.state), "state_text": its.text}
    return {
        "name": cluster.name,
        "cloud": cluster.cloud,
        "region": cluster.region,
        "launch_id": cluster.launch_id,
        "owner": cluster.owner or None,
        "owner_arn": cluster.owner_arn or None,
        **state,
        "ends": None if cluster.ends is None else cluster.ends.isoformat(),
        "idle_timeout": cluster.idle_timeout,
        "nodes_expected": cluster.size,
        "keep_size": cluster.keeps_size,
        "nprocs": cluster.nprocs,
        "nthreads": cluster.nthreads,
        "scheduler": scheduler_address(cluster),
        "workers": None if registered is None else sum(registered.values()),
        "workers_expected": cluster.expected_workers,
        "switches": None if timers is None else [asdict(timer) for timer in timers],
        "nodes": [_node(node, registered) for node in cluster.nodes],
        "nodes_ended": [_ended(node) for node in cluster.gone],
        "security_groups": [{"id": group.id, "name": group.name} for group in cluster.groups],
    }


def notebooks_document(saved: SavedNotebooks) -> dict[str, Any]:
    """Return which notebooks of a head were saved before its end, and which were not."""
    return {
        "folder": None if saved.folder is None else str(saved.folder),
        "saved": list(saved.saved),
        "lost": list(saved.lost),
        "trouble": saved.trouble or None,
    }


def launch_document(
    cluster: Cluster, *, registered: Mapping[str, int], seconds: float, calls: Iterable[str]
) -> dict[str, Any]:
    """Return a launched cluster, with the time and the EC2 calls of the launch."""
    return {**cluster_document(cluster, registered), "seconds": round(seconds, 2), "calls": list(calls)}


def addresses(
    scheduler: Path,
    ports: Mapping[int, int],
    *,
    secret: str,
    token: str,
    tls: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return local addresses of the head's services.

    Args:
        scheduler: the Unix socket to the scheduler.
        ports: the local port for the head's ports of dashboard and JupyterLab.
        secret: what the dashboard's port asks for.
        token: JupyterLab's; empty where the image has no JupyterLab, which is then left out.
        tls: files that a client needs where the scheduler uses TLS.
    """
    found = {
        "dashboard": f"http://127.0.0.1:{ports[DASHBOARD_PORT]}/status?token={secret}",
        "scheduler": dask_address(scheduler, tls=bool(tls)),
        **(tls or {}),
    }
    jupyter = f"http://127.0.0.1:{ports[JUPYTER_PORT]}/lab?token={token}"
    return {**found, "jupyter": jupyter} if token else found


def address_document(cluster: Cluster, flags: Sequence[str] = ()) -> dict[str, str]:
    """Return the scheduler's address within the cluster, the dashboard's on the head, and commands for both.

    Args:
        flags: options by which the user chose the cloud.

    Raises:
        UsageError: if the cluster runs no Dask.
    """
    if not cluster.has_dask:
        raise UsageError(
            f"cluster {cluster.name} runs no Dask, so it has no addresses",
            hint=f"{cluster_command('ssh', cluster.name)} opens a shell on its head",
        )
    return {
        "name": cluster.name,
        "scheduler": scheduler_address(cluster),
        "dashboard_on_head": f"http://127.0.0.1:{DASHBOARD_PORT}/status",
        "python": f"from dask_bake import connect; client = {python_call(cluster.name, flags=flags)}",
        "browser": complete(cluster_command("ui", cluster.name), flags),
    }


def plan_document(
    plan: LaunchPlan, permissions: Sequence[Permission] = (), cost: Cost | None = None
) -> dict[str, Any]:
    """Return the plan of a launch; private keys are masked, and unknown values are null."""
    layout = plan.worker_layout(plan.first.worker_types[0])
    return {
        "name": plan.options.name,
        "cloud": plan.target.cloud,
        "region": plan.target.region,
        "places": [
            {
                "zone": candidate.subnet.zone,
                "subnet": candidate.subnet.id,
                "head_types": [kind.name for kind in candidate.head_types],
                "worker_types": [kind.name for kind in candidate.worker_types],
                "market": str(candidate.market),
            }
            for candidate in plan.candidates
        ],
        "workers_expected": (plan.options.count - 1) * layout.nprocs if plan.options.runs_dask else 0,
        "nthreads": layout.nthreads,
        "calls": [
            {"operation": call.operation, "parameters": _readable(call.parameters)}
            for call in planned_calls(plan)
        ],
        "permissions": [asdict(permission) for permission in permissions],
        "cost": None if cost is None else cost_document(cost),
    }


def cost_document(cost: Cost) -> dict[str, Any]:
    """Return a cluster's cost in dollars an hour."""
    return {
        "dollars_per_hour": cost.total,
        "items": [
            {"what": item.what, "count": item.count, "dollars_per_hour_each": item.each}
            for item in cost.items
        ],
    }


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if isinstance(value, bytes):
        return value.decode()
    return mask_private_keys(value) if isinstance(value, str) else value


def metadata_document(cluster: Cluster, key: str) -> dict[str, Any]:
    """Return a cluster in the format of dask-ec2's ``cluster.yaml``."""
    return {
        "name": cluster.name,
        "cloud": cluster.cloud,
        "region": cluster.region,
        "launch_id": cluster.launch_id,
        "instances": [
            {
                "index": node.index,
                "role": node.role_text,
                "uid": node.id,
                "ip": node.address,
                "private_ip": node.private_address,
                "port": 22,
                "username": dict(node.tags).get(Tag.USER, ""),
                "keypair": key,
            }
            for node in cluster.nodes
        ],
    }


def _node(node: Node, registered: Mapping[str, int] | None) -> dict[str, Any]:
    return {
        "index": node.index,
        "role": node.role_text,
        "id": node.id,
        "state": node.state,
        "private_address": node.private_address,
        "public_address": node.public_address,
        "type": node.instance_type,
        "zone": node.zone,
        "image": node.image_id,
        "launched": node.launched.isoformat(),
        "workers": None if registered is None else registered.get(node.private_address, 0),
        "trouble": node.trouble or None,
    }


def _ended(node: Node) -> dict[str, Any]:
    return {
        "index": node.index,
        "id": node.id,
        "ended": None if node.ended is None else node.ended.isoformat(),
        "reason": node.trouble or node.state_reason or None,
    }
