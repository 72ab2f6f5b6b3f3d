"""What a cluster costs an hour, item by item: what is not known is said to be unknown, never guessed."""

import time
from dataclasses import dataclass

from dask_bake.ec2.prices import PriceList
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Market
from dask_bake.system.concurrency import BackgroundCall

HOURS_OF_A_MONTH = 730
"""By which AWS makes an hour's price of a month's."""


@dataclass(frozen=True)
class Prices:
    """In dollars: an hour of an instance or of an address, a month of a GiB; ``None`` is unknown."""

    head: float | None = None
    worker: float | None = None
    disk: float | None = None
    address: float | None = None


@dataclass(frozen=True)
class Item:
    """Something that costs, so many times; ``each`` is dollars an hour."""

    what: str
    count: int
    each: float | None

    @property
    def total(self) -> float | None:
        """Dollars an hour for all of them."""
        return None if self.each is None else self.count * self.each


@dataclass(frozen=True)
class Cost:
    """All that a cluster costs; nothing where there are no items."""

    items: tuple[Item, ...] = ()

    @property
    def known(self) -> float:
        """Dollars an hour for what is known."""
        return sum(item.total for item in self.items if item.total is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What is not known."""
        return tuple(item.what for item in self.items if item.total is None)

    @property
    def total(self) -> float | None:
        """Dollars an hour; ``None`` where a part of it is unknown."""
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
    """The cost of the plan where it is tried first, with the types that are preferred."""
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


def in_words(found: Cost) -> str:
    """The cost in a line."""
    if not found.items:
        return "nothing"
    if not found.unknown:
        return f"{dollars(found.known)} an hour"
    if found.known:
        return f"{dollars(found.known)} an hour, and what is unknown: {'; '.join(found.unknown)}"
    return "unknown"


def dollars(amount: float) -> str:
    """An amount of dollars, in cents, or more exactly where it is less than ten of them."""
    return f"${amount:.2f}" if amount >= 0.1 else f"${amount:.4f}"
