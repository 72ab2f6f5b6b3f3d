"""Allocate addresses of the bridge for the subnets of all regions."""

import threading
from ipaddress import IPv4Address, IPv4Network

RESERVED_FIRST = 4
"""EC2 reserves the first four addresses of a subnet, and the last."""


class Addresses:
    """The allocated addresses. All regions share one bridge, and so the addresses."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._from: dict[IPv4Network, int] = {}
        """By block, the address at which the search for a free one begins."""
        self._lock = threading.Lock()

    def take(self, block: IPv4Network) -> str | None:
        """Allocate and return the first free address of a subnet's block, or None."""
        with self._lock:
            usable = _usable(block)
            number = self._from.get(block, usable.start)
            while number in self._taken:
                number += 1
            self._from[block] = number
            if number not in usable:
                return None
            self._taken.add(number)
            return str(IPv4Address(number))

    def claim(self, address: str) -> None:
        """Mark an address as allocated that was chosen elsewhere."""
        with self._lock:
            self._taken.add(int(IPv4Address(address)))

    def release(self, address: str) -> None:
        """Make an address available again."""
        number = int(IPv4Address(address))
        with self._lock:
            self._taken.discard(number)
            for block, start in self._from.items():
                if number in _usable(block):
                    self._from[block] = min(start, number)

    def free(self, block: IPv4Network) -> int:
        """Return the number of free addresses in a subnet's block."""
        usable = _usable(block)
        with self._lock:
            return len(usable) - sum(number in usable for number in self._taken)


def _usable(block: IPv4Network) -> range:
    return range(int(block.network_address) + RESERVED_FIRST, int(block.broadcast_address))
