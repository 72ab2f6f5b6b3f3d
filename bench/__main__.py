"""Run the measurements: `make bench`. Tables go to stderr, and all figures as JSON to stdout.

    python bench                     all of them
    python bench launch              one: bake or launch

The bakes need root and the local cloud; launch compares with dask-cloudprovider's EC2Cluster, which pip
installs into the user's cache the first time.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import bake
import launch
from rich.console import Console
from rich.table import Table


class Bench(Protocol):
    """A module that measures something."""

    def measure(self) -> Mapping[str, Any]:
        """Return the figures."""

    def tables(self, figures: Any) -> list[Table]:
        """Return the figures as a person reads them."""


BENCHES: dict[str, Bench] = {"launch": launch, "bake": bake}


def main(names: list[str]) -> None:
    """Run the named measurements, or all."""
    console = Console(stderr=True, width=max(100, int(os.environ.get("COLUMNS", "100"))))
    result: dict[str, Any] = {"cores": os.cpu_count(), "python": platform.python_version()}
    for name in names or BENCHES:
        if name not in BENCHES:
            sys.exit(f"there is no bench {name}: {', '.join(BENCHES)}")
        if name == "bake" and os.geteuid() != 0:
            console.print("bake is left out: it needs root")
            continue
        result[name] = BENCHES[name].measure()
        for table in BENCHES[name].tables(result[name]):
            console.print(table, "\n")
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
