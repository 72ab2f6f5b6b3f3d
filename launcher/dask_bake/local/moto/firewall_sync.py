"""The firewall as the security groups say: brought up to date after whatever may have changed them."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from dask_bake.local.moto.security_groups import read_groups, read_ports
from dask_bake.local.network.security_groups import render_rules
from dask_bake.system.subprocesses import run


class Guard:
    """Lets in what the groups of moto's instances let in; until it is first asked, nothing."""

    def __init__(
        self,
        bridge: str,
        instances: Callable[[], Iterable[Any]],
        *,
        load: Callable[[str], object] = lambda rules: run(["nft", "-f", "-"], text=rules),
    ) -> None:
        self._bridge = bridge
        self._instances = instances
        self._load = load
        self._loaded = ""
        self._lock = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """From now on nothing is loaded: the firewall comes down, and requests may still be answered."""
        with self._lock:
            self._is_closed = True

    def follow(self) -> None:
        """Load the rules as they are now, in one step; not if they are the same."""
        with self._lock:
            instances = tuple(self._instances())
            rules = render_rules(self._bridge, read_groups(instances), read_ports(instances))
            if rules != self._loaded and not self._is_closed:
                self._load(rules)
                self._loaded = rules
