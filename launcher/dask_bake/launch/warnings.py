"""Warnings about a launch: options that are valid but probably unintended."""

import ipaddress
from datetime import datetime

from dask_bake.clusters.condition import condition
from dask_bake.hints import command_line
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Connect
from dask_bake.models.ec2 import InstanceType


def notes(plan: LaunchPlan) -> tuple[str, ...]:
    """Return warnings about options that may be intended and may be a mistake."""
    return (
        *oversubscription(plan),
        *_on_demand_fallback(plan),
        *_private_subnet(plan),
        *_public_caller(plan),
        *_no_lifetime(plan),
        *_delayed_console(plan),
    )


def oversubscription(plan: LaunchPlan) -> tuple[str, ...]:
    """Warn about worker processes that need more CPUs or memory than a worker type has."""
    if not plan.options.runs_dask:
        return ()
    kinds = {kind.name: kind for kind in plan.target.types if kind.name in plan.options.type}
    found = []
    for kind in kinds.values():
        layout, limit = plan.worker_layout(kind), memory_limit(plan.options.memory_limit, kind)
        if layout.nprocs * layout.nthreads > kind.vcpus:
            threads = "1 thread" if layout.nthreads == 1 else f"{layout.nthreads} threads"
            found.append(
                f"{layout.nprocs} worker processes of {threads} share the"
                f" {kind.vcpus} virtual CPUs of a {kind.name}."
            )
        if kind.memory and layout.nprocs * limit > kind.memory:
            found.append(
                f"{layout.nprocs} worker processes may use {plan.options.memory_limit} of memory each,"
                f" and a {kind.name} has {kind.memory / 1024:g} GiB."
            )
    return tuple(found)


def memory_limit(text: str, kind: InstanceType) -> float:
    """Return a process's memory limit in MiB, parsed as Dask does; 0 if Dask decides or there is none."""
    if text == "auto":
        return 0
    try:
        number = float(text)
    except ValueError:
        from dask.utils import parse_bytes

        return float(parse_bytes(text)) / 2**20
    return number * kind.memory if number <= 1 else number / 2**20


def _on_demand_fallback(plan: LaunchPlan) -> tuple[str, ...]:
    """Warn about types that are bought on demand although spot is requested."""
    if not plan.options.spot_with_fallback:
        return ()
    kinds = dict.fromkeys(kind for kind in plan.target.types if kind.name in plan.options.type)
    return tuple(
        f"AWS does not offer {kind.name} as Spot Instances: trying On-Demand Instances."
        for kind in kinds
        if not kind.can_be_spot
    )


def _private_subnet(plan: LaunchPlan) -> tuple[str, ...]:
    """Warn about a chosen subnet that looks private although the nodes get public addresses."""
    options, subnet = plan.options, plan.first.subnet
    if options.private or subnet.is_public or (options.subnet_id is None and options.vpc_id is None):
        return ()
    return (
        f"The subnet {subnet.id} does not assign public addresses by default, so the launch assigns them."
        " They work only if the subnet has a route to an internet gateway; otherwise use --private.",
    )


def _public_caller(plan: LaunchPlan) -> tuple[str, ...]:
    """Warn about SSH from a public address to nodes with private addresses only."""
    options, outside = plan.options, [each for each in plan.target.callers if _is_public(each)]
    if not options.private or options.transport is not Connect.DIRECT or options.cidr or not outside:
        return ()
    return (
        f"SSH to the head is open to {outside[0]}, this machine's public address. Through a VPN the head"
        " sees another address: give that one with --cidr.",
    )


def _no_lifetime(plan: LaunchPlan) -> tuple[str, ...]:
    """Warn about nodes without user-data, which therefore have no lifetime or idle time-out."""
    if plan.options.provision:
        return ()
    down = command_line("down", plan.options.name)
    return (f"These nodes do not shut themselves down (--no-provision): {down} ends them.",)


def name_reuse(plan: LaunchPlan, now: datetime) -> tuple[str, ...]:
    """Say that the name was an ended cluster's, of which the launch removes what is left."""
    ended = plan.target.ended
    if ended is None:
        return ()
    text = condition(ended, now).text
    return (f"The last cluster {ended.name} {text}. The launch removes its security groups.",)


def _delayed_console(plan: LaunchPlan) -> tuple[str, ...]:
    """Warn about head types whose console, and so the host key on it, EC2 shows with a delay."""
    kinds = dict.fromkeys(kind for kind in plan.target.types if kind.name in plan.options.head_types)
    return tuple(
        f"{kind.name} is not a Nitro instance: EC2 shows its console minutes late, so this launch may need"
        " a longer --timeout."
        for kind in kinds
        if not kind.has_live_console
    )


def _is_public(source: str) -> bool:
    return not source.startswith("sg-") and ipaddress.ip_network(source).is_global
