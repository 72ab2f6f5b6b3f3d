"""The command line of a head's scheduler."""

import dask.config

from node_programs import load

PRELOADS = (
    *("--preload", "/usr/libexec/dask-bake/dask_bake_pulse.py"),
    *("--preload", "/usr/libexec/dask-bake/dask_bake_credentials.py"),
)
OWN = ("--port", "8786", "--dashboard-address", "127.0.0.1:8787")


def test_the_launch_s_options_come_last_and_configured_preloads_are_kept(monkeypatch):
    program, runs = load("scheduler"), []
    monkeypatch.setattr(program, "use_packages", lambda *_: None)
    monkeypatch.setattr(program, "main", lambda words, prog_name: runs.append((prog_name, words)))
    monkeypatch.setenv("DASK_BAKE_OPTIONS", "--idle-timeout '10 min'")
    with dask.config.set({"distributed.scheduler.preload": ["mine.py"]}):
        program.schedule()

    assert runs == [("dask scheduler", [*OWN, *PRELOADS, "--preload", "mine.py", "--idle-timeout", "10 min"])]


def test_without_options_there_are_the_image_s_own(monkeypatch):
    program, runs = load("scheduler"), []
    monkeypatch.setattr(program, "use_packages", lambda *_: None)
    monkeypatch.setattr(program, "main", lambda words, **_: runs.append(words))
    monkeypatch.delenv("DASK_BAKE_OPTIONS", raising=False)
    with dask.config.set({"distributed.scheduler.preload": []}):
        program.schedule()

    assert runs == [[*OWN, *PRELOADS]]


def test_its_own_proxy_leads_to_the_workers_dashboards(monkeypatch):
    program, runs = load("scheduler"), []
    key = "distributed.scheduler.http.routes"
    monkeypatch.setattr(program, "main", lambda *_, **__: runs.append(dask.config.get(key)))
    before = dask.config.get(key)
    program.schedule()

    assert "distributed.http.proxy" in before
    assert runs == [[each.replace("distributed.http.proxy", "dask_bake_proxy") for each in before]]
    assert dask.config.get(key) == before
