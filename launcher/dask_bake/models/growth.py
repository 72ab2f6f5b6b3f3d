"""Choices of a launch that its nodes do not show, kept in tags of the head: later nodes are made by them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dask_bake.models.cloud import Market
from dask_bake.models.ec2 import Disk
from dask_bake.models.tags import Tag, Tags

LONGEST_VALUE = 256
"""Characters of a tag's value; what does not fit is left out, from the end."""
NONE = "-"
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]{0,30}\.[a-z0-9-]{1,30}")
SUBNET_ID = re.compile(r"subnet-[0-9a-z]{1,17}")
DISK = re.compile(r"(?P<type>[a-z0-9]{2,10}) (?P<size>[0-9]{1,6}|-) (?P<rate>[0-9]{1,3}|-)")


@dataclass(frozen=True)
class Growth:
    """The order in which a launch tried to start workers, and their disk; empty or ``None`` if unknown.

    Args:
        types: types of the workers, in order of preference.
        subnets: ids of the subnets, in order.
        markets: markets, in order.
    """

    types: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    markets: tuple[Market, ...] = ()
    disk: Disk | None = None

    @property
    def tags(self) -> Tags:
        """The tags of the head."""
        disk = self.disk or Disk()
        written = (disk.type, *(NONE if each is None else str(each) for each in _numbers(disk)))
        return (
            (Tag.TYPES, _fitting(self.types)),
            (Tag.SUBNETS, _fitting(self.subnets)),
            (Tag.MARKET, _fitting(self.markets)),
            (Tag.DISK, " ".join(written)),
        )


def growth_of(tags: Mapping[str, str]) -> Growth:
    """Return the choices that these tags of a head say; what is not written as here does not count."""
    markets = tuple(tags.get(Tag.MARKET, "").split())
    return Growth(
        types=_matching(INSTANCE_TYPE, tags.get(Tag.TYPES, "")),
        subnets=_matching(SUBNET_ID, tags.get(Tag.SUBNETS, "")),
        markets=tuple(Market(each) for each in markets if each in tuple(Market)),
        disk=_disk(tags.get(Tag.DISK, "")),
    )


def _numbers(disk: Disk) -> tuple[int | None, int | None]:
    return disk.size, disk.initialization_rate


def _fitting(words: Iterable[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE + 1].rpartition(" ")[0]


def _matching(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in text.split() if pattern.fullmatch(word)))


def _disk(text: str) -> Disk | None:
    found = DISK.fullmatch(text)
    if found is None:
        return None
    size, rate = (None if found[name] == NONE else int(found[name]) for name in ("size", "rate"))
    return Disk(found["type"], size, rate)
