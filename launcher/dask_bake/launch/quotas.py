"""EC2 quotas of the account: the quota of an instance type, and the check of a launch against them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from dask_bake.errors import BakeError
from dask_bake.launch.placement import least_nodes, markets
from dask_bake.models.cloud import Market
from dask_bake.models.ec2 import InstanceType, Quota
from dask_bake.options.launch import LaunchOptions

STANDARD = ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z")
CODES: Mapping[str, tuple[str, str | None]] = {
    **dict.fromkeys(STANDARD, ("L-1216C47A", "L-34B43A08")),
    **dict.fromkeys(("g", "gr", "vt"), ("L-DB2E81BA", "L-3819A6DF")),
    "dl": ("L-6E869C2A", "L-85EED4F7"),
    "f": ("L-74FC7D96", "L-88CF9481"),
    "hpc": ("L-F7808C92", None),
    "inf": ("L-1945791B", "L-B5D1601B"),
    "p": ("L-417A185B", "L-7212CCBC"),
    "trn": ("L-2C3B7624", "L-6B0D517C"),
    "u": ("L-43DA4232", None),
    "x": ("L-7295265B", "L-E3A00192"),
}
"""Quota codes for on-demand and for spot, by the first letters of a type (EC2 user guide, quotas)."""
SPOT_OF_P5 = "L-C4BD4855"


def quota_code(instance_type: str, market: Market) -> str | None:
    """Return the code of the quota that the type counts against; ``None`` if it is unknown."""
    letters = re.match(r"[a-z]*", instance_type)
    on_demand, spot = CODES.get(letters[0] if letters else "", (None, None))
    if market is Market.ON_DEMAND:
        return on_demand
    return SPOT_OF_P5 if instance_type.startswith("p5") else spot


def codes(options: LaunchOptions) -> tuple[str, ...]:
    """Return the codes of the quotas that the types of the launch count against."""
    found = [quota_code(name, Market.ON_DEMAND) for name in options.head_types]
    found += [quota_code(name, market) for name in options.type for market in markets(options)]
    return tuple(dict.fromkeys(code for code in found if code is not None))


def check_quotas(
    options: LaunchOptions, types: Sequence[InstanceType], quotas: Iterable[Quota | None]
) -> None:
    """Refuse a launch that exceeds the quotas with every choice of types and market.

    Other instances of the account are not counted.

    Raises:
        BakeError: with the quota, its code and the requested vCPUs, for the preferred types.
    """
    by_code = {quota.code: quota for quota in quotas if quota is not None}
    by_name = {kind.name: kind for kind in types}
    bought = markets(options)
    beyond = [
        _beyond(options, by_name[head], by_name[worker], market, by_code)
        for head, worker, market in product(options.head_types, options.type, bought)
    ]
    if all(beyond):
        quota, asked = beyond[len(bought) - 1][0]
        least = "" if options.min_workers is None else f" with --min-workers {options.min_workers}"
        raise BakeError(
            f"--count {options.count}{least} asks for {asked} vCPUs at once, and the account's quota"
            f" {quota.name!r} ({quota.code}) is {quota.value:g}",
            hint="ask for more under Service Quotas, EC2; or take fewer or smaller nodes",
        )


def _beyond(
    options: LaunchOptions,
    head: InstanceType,
    worker: InstanceType,
    market: Market,
    quotas: Mapping[str, Quota],
) -> list[tuple[Quota, int]]:
    asked: dict[str | None, int] = {}
    for kind, count, bought in (
        (head, 1, Market.ON_DEMAND),
        (worker, least_nodes(options, worker), market),
    ):
        code = quota_code(kind.name, bought)
        asked[code] = asked.get(code, 0) + count * kind.vcpus
    known = [(quotas[code], vcpus) for code, vcpus in asked.items() if code is not None and code in quotas]
    return [(quota, vcpus) for quota, vcpus in known if vcpus > quota.value]
