"""Which addresses of the bridge are taken, whatever region gave them out."""

import threading
from ipaddress import IPv4Address, IPv4Network

RESERVED_FIRST = 4
"""EC2 keeps the first four addresses of a subnet, and the last."""


class Addresses:
    """All regions are on one bridge: an address that one gives out is taken in the others."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._from: dict[IPv4Network, int] = {}
        """Where the search for a block's first free address begins."""
        self._lock = threading.Lock()

    def take(self, block: IPv4Network) -> str | None:
        """The first free address of a subnet's block, taken now; None when there is none."""
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
        """Take an address that was chosen elsewhere."""
        with self._lock:
            self._taken.add(int(IPv4Address(address)))

    def release(self, address: str) -> None:
        """The address may be given out again."""
        number = int(IPv4Address(address))
        with self._lock:
            self._taken.discard(number)
            for block, start in self._from.items():
                if number in _usable(block):
                    self._from[block] = min(start, number)

    def free(self, block: IPv4Network) -> int:
        """How many instances still find an address in a subnet's block."""
        usable = _usable(block)
        with self._lock:
            return len(usable) - sum(number in usable for number in self._taken)


def _usable(block: IPv4Network) -> range:
    return range(int(block.network_address) + RESERVED_FIRST, int(block.broadcast_address))
