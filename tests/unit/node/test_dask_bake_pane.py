"""A head's cluster in JupyterLab's Dask pane, and the configuration that puts it there."""

import asyncio
import json
import runpy
import sys

import dask.config
import pytest

import dask_bake_pane as program
from http_servers import serving
from node_programs import LIBEXEC

IDENTITY = {"workers": {"tcp://10.0.0.5:1": {"nthreads": 2, "memory_limit": 100, "more": {}}}}
SETTINGS = LIBEXEC.parents[2] / "etc/jupyter/jupyter_server_config.py"


@pytest.fixture
def settings(monkeypatch):
    """Run JupyterLab's configuration file, and return Dask's configuration afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(before):
        with dask.config.set(before):
            runpy.run_path(str(SETTINGS))
            found = {
                key: dask.config.get(f"labextension.{key}", None)
                for key in ("factory.module", "factory.class", "initial")
            }
        for key in ("labextension.factory", "labextension.initial"):
            dask.config.config.pop(key, None)
        dask.config.config.pop("labextension", None)
        return found

    return run


def test_the_pane_begins_with_the_cluster_by_its_name(settings, monkeypatch):
    monkeypatch.setenv("DASK_BAKE_CLUSTER", "taxi")

    found = settings({})

    assert found == {
        "factory.module": "dask_bake_pane",
        "factory.class": "ThisCluster",
        "initial": [{"name": "taxi"}],
    }
    assert sys.path[-1] == "/usr/libexec/dask-bake"


def test_clusters_that_the_user_has_configured_are_the_pane_s(settings, monkeypatch):
    monkeypatch.setenv("DASK_BAKE_CLUSTER", "taxi")
    mine = {"factory": {"module": "mine", "class": "Cluster"}, "initial": [{}]}

    assert settings({"labextension": mine})["factory.module"] == "mine"


async def a_cluster() -> program.ThisCluster:
    cluster = await program.ThisCluster(asynchronous=True)
    cluster.close()
    return cluster


@pytest.fixture
def configured():
    address = "tcp://10.0.0.4:8786"
    with dask.config.set({"scheduler-address": address, "distributed.dashboard.link": "/proxy/8787/status"}):
        yield address


def test_it_has_the_scheduler_s_workers(configured, monkeypatch):
    with serving(lambda _: (200, json.dumps(IDENTITY))) as url:
        monkeypatch.setattr(program, "IDENTITY", url)
        cluster = asyncio.run(a_cluster())

    assert cluster.scheduler_info == {"workers": {"tcp://10.0.0.5:1": {"nthreads": 2, "memory_limit": 100}}}
    assert (cluster.scheduler_address, cluster.dashboard_link) == (configured, "/proxy/8787/status")


@pytest.mark.parametrize("answer", ["nonsense", "[]", "{}", '{"workers": {"a": {}}}', '{"workers": 7}'])
def test_a_scheduler_whose_answer_cannot_be_used_has_no_workers(configured, monkeypatch, answer):
    with serving(lambda _: (200, answer)) as url:
        monkeypatch.setattr(program, "IDENTITY", url)

        assert asyncio.run(a_cluster()).scheduler_info == {"workers": {}}


def test_a_scheduler_that_does_not_answer_has_no_workers(configured, monkeypatch):
    """JupyterLab may start before it: an error now would stay in the pane for ever."""
    monkeypatch.setattr(program, "IDENTITY", "http://127.0.0.1:1/")

    assert asyncio.run(a_cluster()).scheduler_info == {"workers": {}}


@pytest.mark.parametrize(
    "change", [lambda each: each.scale(3), lambda each: each.adapt(minimum=1, maximum=2)]
)
def test_a_head_can_not_change_its_cluster(configured, change):
    with pytest.raises(NotImplementedError, match="only from the machine that launched it"):
        change(program.ThisCluster())
