"""The Python API on a node of a cluster: the same code as elsewhere runs there, with that cluster.

In an image, only this module and what it imports are there: no node has credentials to start or end anything.
"""

import os
import warnings
from pathlib import Path
from typing import Any, NoReturn

import dask
from distributed import Client
from distributed.security import Security
from distributed.utils import format_dashboard_link

from dask_bake.client.attached import AttachedCluster
from dask_bake.errors import UsageError

NODE_FILE = Path("/etc/dask-bake/manifest.json")
"""A file that every node has, and no other machine."""
LIMITS_FILE = Path("/etc/dask-bake/limits.env")
"""A file in which user-data names the cluster."""
CLUSTER_VARIABLE = "DASK_BAKE_CLUSTER="
ABOUT_A_CLOUD = ("cloud", "region", "profile", "file", "allow_mismatch", "credentials")
"""Keywords of ``connect()`` that say where a cluster is."""


def is_node() -> bool:
    """Return whether this is a node of a cluster with Dask."""
    return NODE_FILE.exists() and bool(dask.config.get("scheduler-address", None))


def cluster_name() -> str:
    """Return the name of the cluster that this node belongs to; "" if user-data does not say."""
    try:
        lines = LIMITS_FILE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    values = [line.removeprefix(CLUSTER_VARIABLE) for line in lines if line.startswith(CLUSTER_VARIABLE)]
    return values[-1].strip("\"'") if values else ""


def is_own(name: str | None) -> bool:
    """Return whether this is a node, and of that cluster, if one is named."""
    return is_node() and name in (None, cluster_name())


def connect(name: str | None = None, **keywords: Any) -> Any:
    """Return a client of this node's cluster; keywords that say where a cluster is are not needed here."""
    _check_name(name)
    own = {key: value for key, value in keywords.items() if key not in ABOUT_A_CLOUD}
    return Client(**own)  # type: ignore[no-untyped-call]


class BakeCluster(AttachedCluster):
    """This node's cluster, which was launched elsewhere: it can be used and looked at, not changed.

    Closing it ends nothing. The options of a launch are ignored, with a warning.
    """

    _supports_scaling = False

    def __init__(
        self,
        name: str | None = None,
        *,
        asynchronous: bool = False,
        loop: Any = None,
        quiet: bool = False,
        shutdown_on_close: bool = False,
        **options: Any,
    ) -> None:
        _check_name(name)
        self.shutdown_on_close = shutdown_on_close
        if options:
            warnings.warn(
                f"On a node BakeCluster is the node's own cluster, which runs already:"
                f" {', '.join(sorted(options))} {'is' if len(options) == 1 else 'are'} ignored.",
                stacklevel=2,
            )
        super().__init__(cluster_name() or "dask", asynchronous=asynchronous, loop=loop, quiet=quiet)
        if not self.called_from_running_loop:
            self._loop_runner.start()  # type: ignore[no-untyped-call]
            self.sync(self._started)  # type: ignore[no-untyped-call]

    @classmethod
    def from_name(cls, name: str, **keywords: Any) -> "BakeCluster":
        """Return the node's cluster, if that is its name."""
        return cls(name, **keywords)

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address: by Dask's configuration, which knows how a browser reaches it."""
        return str(format_dashboard_link("127.0.0.1", 8787))  # type: ignore[no-untyped-call]

    def scale(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a node cannot start or end others."""
        raise _not_here("changing the size of a cluster", f"dask-bake scale {self.name} --count N does it")

    def adapt(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a node cannot start or end others."""
        raise _not_here(
            "changing the size of a cluster", f'BakeCluster.from_name("{self.name}").adapt(…) does it'
        )

    async def _start(self) -> None:
        await self._attach(str(dask.config.get("scheduler-address")), Security())  # type: ignore[no-untyped-call]

    def close(self, timeout: float | None = None) -> Any:
        """Close the connections; the cluster goes on."""
        closing = super().close(timeout)
        if not self.asynchronous:
            self._loop_runner.stop()  # type: ignore[no-untyped-call]
        return closing


def launch(**_: Any) -> NoReturn:
    """Refuse: a node cannot start instances."""
    raise _not_here("launching a cluster", "dask-bake launch does it")


def down(*_: Any, **__: Any) -> NoReturn:
    """Refuse: a node cannot end its cluster."""
    raise _not_here("ending a cluster", f"dask-bake down {cluster_name()}".strip() + " does it")


def _check_name(name: str | None) -> None:
    own = cluster_name()
    if name is not None and name != own:
        raise _shown(
            f"this node is one of cluster {own}, and reaches no other",
            f'connect("{own}"), or connect() alone; a cluster is reached from the machine that launched it',
        )
    if not dask.config.get("scheduler-address", None):
        raise _shown(
            "this node's cluster runs no Dask: Dask's configuration has no scheduler-address",
            "launch it without --no-dask and --no-provision",
        )


def _not_here(what: str, hint: str) -> UsageError:
    return _shown(
        f"{what} needs AWS credentials, and {os.uname().nodename} is a node, which has none",
        f"{hint}, on the machine that launched this one",
    )


def _shown(message: str, hint: str) -> UsageError:
    error = UsageError(message, hint=hint)
    error.args = (f"{message}\nHint: {hint}",)
    return error
