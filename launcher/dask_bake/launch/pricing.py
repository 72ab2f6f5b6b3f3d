"""Hourly cost of a cluster, item by item; an unknown price is reported as unknown, never estimated."""

import time
from dataclasses import dataclass
from functools import partial

from dask_bake.ec2.prices import PriceList
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Market
from dask_bake.models.cluster import Cluster
from dask_bake.system.concurrency import BackgroundCall

HOURS_OF_A_MONTH = 730
"""Hours per month in AWS's prices."""


@dataclass(frozen=True)
class Prices:
    """Prices in dollars: per hour of an instance or address, per GiB-month of disk; ``None`` is unknown."""

    head: float | None = None
    worker: float | None = None
    disk: float | None = None
    address: float | None = None


@dataclass(frozen=True)
class Item:
    """A billed item and its count; ``each`` is in dollars per hour."""

    what: str
    count: int
    each: float | None

    @property
    def total(self) -> float | None:
        """Dollars per hour for the whole count; ``None`` if unknown."""
        return None if self.each is None else self.count * self.each


@dataclass(frozen=True)
class Cost:
    """Cost of a cluster; zero if there are no items."""

    items: tuple[Item, ...] = ()

    @property
    def known(self) -> float:
        """Dollars per hour of the items with a known price."""
        return sum(item.total for item in self.items if item.total is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Items with an unknown price."""
        return tuple(item.what for item in self.items if item.total is None)

    @property
    def total(self) -> float | None:
        """Dollars per hour; ``None`` if the price of an item is unknown."""
        return None if self.unknown else self.known


FREE = Cost()


def look_up_prices(prices: PriceList, plan: LaunchPlan) -> Prices:
    """Return the prices of the plan's first candidate, looked up concurrently, within one time-out."""
    candidate, deadline = plan.first, time.monotonic() + prices.timeout
    head, worker = candidate.head_types[0].name, candidate.worker_types[0].name
    heads = workers = BackgroundCall(lambda: prices.instance(head))
    if candidate.market is Market.SPOT or worker != head:
        workers = BackgroundCall(lambda: prices.instance(worker, candidate.market, candidate.subnet.zone))
    disks, addresses = (
        BackgroundCall(lambda: prices.disk(plan.options.volume_type)),
        BackgroundCall(prices.address),
    )
    askings = (heads, workers, disks, addresses)
    return Prices(*(each.result_within(max(0.0, deadline - time.monotonic())) for each in askings))


def cost(plan: LaunchPlan, prices: Prices) -> Cost:
    """Return the cost of the plan for its first candidate, with the preferred types."""
    options, candidate = plan.options, plan.first
    size = options.volume_size or plan.target.image.root_size
    disk = None if prices.disk is None or size is None else prices.disk * size / HOURS_OF_A_MONTH
    on_spot = " on spot" if candidate.market is Market.SPOT else ""
    items = [
        Item(f"head, {candidate.head_types[0].name}", 1, prices.head),
        Item(f"workers, {candidate.worker_types[0].name}{on_spot}", options.count - 1, prices.worker),
        Item(f"root volumes, {options.volume_type} of {size or '?'} GiB", options.count, disk),
    ]
    if not options.private:
        items.append(Item("public addresses", options.count, prices.address))
    return Cost(tuple(items))


def running_cost(cluster: Cluster, prices: PriceList) -> Cost:
    """Return the cost of a cluster's running instances, without volumes and addresses."""
    kinds: dict[tuple[str, Market, str | None], int] = {}
    for node in cluster.nodes:
        if node.is_up:
            # Only the price of a spot instance depends on its zone.
            kind = (node.instance_type, node.market, node.zone if node.market is Market.SPOT else None)
            kinds[kind] = kinds.get(kind, 0) + 1
    deadline = time.monotonic() + prices.timeout
    calls = [BackgroundCall(partial(prices.instance, *kind)) for kind in kinds]
    found = [call.result_within(max(0.0, deadline - time.monotonic())) for call in calls]
    return Cost(
        tuple(Item(kind[0], count, price) for (kind, count), price in zip(kinds.items(), found, strict=True))
    )


def in_words(found: Cost) -> str:
    """Return the cost as one line of text."""
    if not found.items:
        return "nothing"
    if not found.unknown:
        return f"{dollars(found.known)} an hour"
    if found.known:
        return f"{dollars(found.known)} an hour, and what is unknown: {'; '.join(found.unknown)}"
    return "unknown"


def dollars(amount: float) -> str:
    """Format an amount of dollars with two decimals, or four if it is less than ten cents."""
    return f"${amount:.2f}" if amount >= 0.1 else f"${amount:.4f}"
