"""Dask preload of each worker process: load its dashboard when somebody opens it.

A worker that loads Bokeh starts later and takes more memory, and most dashboards of workers are never opened.
"""

from typing import Any

from tornado import httputil, web

PAGES = frozenset({"status", "counters", "system", "profile", "profile-server"})


class LazyDashboard(web.Application):
    """Stand-in for a worker's dashboard until one of its pages is requested."""

    def __init__(self, worker: Any) -> None:
        super().__init__()
        self._worker = worker

    def find_handler(self, request: httputil.HTTPServerRequest, **kwargs: Any) -> Any:
        """Return the handler of a page; the first time, put the dashboard into this one's place."""
        if request.path.strip("/").partition("/")[0] not in PAGES:
            return super().find_handler(request, **kwargs)
        from distributed.dashboard.worker import connect

        worker = self._worker
        applications = worker.http_application.applications
        connect(worker.http_application, worker.http_server, worker)  # type: ignore[no-untyped-call]
        applications.remove(self)
        return applications[-1].find_handler(request, **kwargs)


def dask_setup(worker: Any) -> None:
    """Add the dashboard to the worker's web server, which runs already."""
    if not worker.http_application.applications:
        worker.http_application.add_application(LazyDashboard(worker))
