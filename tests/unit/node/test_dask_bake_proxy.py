"""The scheduler's route to the dashboards of its workers."""

from types import SimpleNamespace

from distributed.http.utils import get_handlers

import dask_bake_proxy as program


def scheduler():
    return SimpleNamespace(
        workers={
            "tcp://10.0.0.5:4000": SimpleNamespace(host="10.0.0.5", services={"dashboard": 5000}),
            "tcp://10.0.0.6:4000": SimpleNamespace(host="10.0.0.6", services={}),
        }
    )


def test_only_the_web_server_of_a_worker_is_a_dashboard():
    asked = [
        ("10.0.0.5", "5000"),
        ("10.0.0.5", "22"),
        ("10.0.0.6", "5000"),
        ("10.0.0.9", "5000"),
        ("", "None"),
    ]

    assert [program.is_dashboard(scheduler(), *each) for each in asked] == [True, False, False, False, False]


def test_the_real_handler_is_made_by_the_first_request(monkeypatch):
    made = []
    monkeypatch.setattr(program, "proxy_handler", lambda: lambda *args, **kwargs: made.append((args, kwargs)))
    ((pattern, handler, kwargs),) = get_handlers(scheduler, ["dask_bake_proxy"])

    assert pattern == r"/proxy/(\d+)/(.*?)/(.*)"
    assert made == []
    handler("application", "request", **kwargs)
    assert made == [(("application", "request"), {"dask_server": scheduler})]
