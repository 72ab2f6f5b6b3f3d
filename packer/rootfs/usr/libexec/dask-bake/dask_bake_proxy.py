"""Route of the scheduler's web server to the dashboards of its workers, instead of distributed's.

It is distributed's handler, but imported by the first request: the import loads JupyterLab's server, and
would delay every scheduler's start. And WebSockets too are forwarded to the dashboards of workers only.
"""

from functools import cache
from typing import Any

from tornado import web


def is_dashboard(scheduler: Any, host: str, port: str) -> bool:
    """Return whether a worker of the scheduler has its web server there."""
    workers = scheduler.workers.values()
    return any(worker.host == host and str(worker.services.get("dashboard")) == port for worker in workers)


@cache
def proxy_handler() -> Any:
    """Return distributed's handler, with a check before every request."""
    from distributed.http.proxy import GlobalProxyHandler

    class CheckedProxyHandler(GlobalProxyHandler):
        """Proxy to a worker's dashboard."""

        SUPPORTED_METHODS = ("GET",)

        async def prepare(self) -> None:
            """Refuse what is no worker's."""
            port, host, _ = self.path_args
            if is_dashboard(self.scheduler, host, port):
                await super().prepare()  # type: ignore[no-untyped-call]
            else:
                self.set_status(404)
                self.finish("There is no such worker.")

    return CheckedProxyHandler


class WorkerProxyHandler(web.RequestHandler):
    """Stand-in for the proxy's handler until the first request."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the proxy's handler for a request."""
        return proxy_handler()(*args, **kwargs)

    def initialize(self, dask_server: Any = None, extra: Any = None) -> None:
        """Tell distributed which arguments the proxy's handler takes."""


routes: list[tuple[str, type, dict[str, Any]]] = [(r"proxy/(\d+)/(.*?)/(.*)", WorkerProxyHandler, {})]
