"""Hourly cost of a cluster, item by item; an unknown price is reported as unknown, never estimated."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dask_bake.ec2.prices import PriceList
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Market
from dask_bake.models.cluster import Cluster, Node
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
    return running_costs((cluster,), prices)[0]


def running_costs(clusters: Sequence[Cluster], prices: PriceList) -> tuple[Cost, ...]:
    """Return the cost of each cluster's running instances; all prices are looked up within one time-out."""
    counts = [Counter(_kind(node) for node in cluster.nodes if node.is_up) for cluster in clusters]
    kinds = dict.fromkeys(kind for count in counts for kind in count)
    deadline = time.monotonic() + prices.timeout
    calls = {kind: BackgroundCall(partial(prices.instance, *kind)) for kind in kinds}
    found = {kind: call.result_within(max(0.0, deadline - time.monotonic())) for kind, call in calls.items()}
    return tuple(
        Cost(tuple(Item(kind[0], number, found[kind]) for kind, number in count.items())) for count in counts
    )


def _kind(node: Node) -> tuple[str, Market, str | None]:
    """Return all that a node's price depends on: only that of a Spot Instance depends on the zone."""
    return node.instance_type, node.market, node.zone if node.market is Market.SPOT else None


def in_words(found: Cost) -> str:
    """Return the cost as one line of text."""
    if not found.items:
        return "nothing"
    if not found.unknown:
        return f"{dollars(found.known)} an hour"
    if found.known:
        return f"{dollars(found.known)} an hour, and what is unknown: {'; '.join(found.unknown)}"
    return "unknown"


def amount(found: Cost) -> str:
    """Return the dollars per hour as a number for a column; with ``?`` for what is unknown."""
    known = dollars(found.known).removeprefix("$")
    if not found.unknown:
        return known if found.known else "0"
    return f"{known} + ?" if found.known else "?"


def dollars(price: float) -> str:
    """Format an amount of dollars with two decimals, or four if it is less than ten cents."""
    return f"${price:.2f}" if price >= 0.1 else f"${price:.4f}"
