"""A worker's dashboard, which is loaded by the first request for one of its pages."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from distributed.http.routing import RoutingApplication
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, ErrorHandler, RequestHandler

import dask_bake_dashboard as program


class Page(RequestHandler):
    """A page of the dashboard."""


@pytest.fixture
def worker(monkeypatch):
    worker = SimpleNamespace(http_application=RoutingApplication([]), http_server="server")
    module = ModuleType("distributed.dashboard.worker")

    def connect(application, server, itself):
        assert (server, itself) == ("server", worker)
        application.add_application(Application([("/status.*", Page)]))
        worker.connected += 1

    worker.connected = 0
    module.connect = connect
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return worker


def handler(worker, path: str):
    start, connection = RequestStartLine("GET", path, "HTTP/1.1"), SimpleNamespace(context=None)
    request = HTTPServerRequest(start_line=start, headers=HTTPHeaders({"Host": "x"}), connection=connection)
    return worker.http_application.find_handler(request).handler_class


def test_it_is_loaded_once_and_by_its_own_pages_only(worker):
    program.dask_setup(worker)

    assert handler(worker, "/unknown") is ErrorHandler
    assert worker.connected == 0
    assert handler(worker, "/status") is Page
    assert handler(worker, "/status/ws") is Page
    assert worker.connected == 1
    assert handler(worker, "/unknown") is ErrorHandler


def test_a_worker_that_has_one_keeps_it(worker):
    """As with the worker's option --dashboard."""
    worker.http_application.add_application(Application([("/status.*", Page)]))
    program.dask_setup(worker)

    assert handler(worker, "/status") is Page
    assert worker.connected == 0
