"""Synchronisation of the firewall with the security groups of moto's instances."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from dask_bake.local.moto.security_groups import read_groups, read_ports
from dask_bake.local.network.security_groups import render_rules
from dask_bake.system.subprocesses import run


class FirewallSync:
    """The firewall rules of the instances' security groups; before the first update nothing is allowed."""

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
        """Stop loading rules: the firewall is about to be removed, and requests may still arrive."""
        with self._lock:
            self._is_closed = True

    def update(self) -> None:
        """Load the current rules in one step, unless they are unchanged."""
        with self._lock:
            instances = tuple(self._instances())
            rules = render_rules(self._bridge, read_groups(instances), read_ports(instances))
            if rules != self._loaded and not self._is_closed:
                self._load(rules)
                self._loaded = rules
