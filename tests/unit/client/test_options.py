"""Keywords of ``launch()`` and ``BakeCluster``."""

import re
from pathlib import Path

import pytest

from dask_bake.client.options import LaunchKeywords, cluster_options, launch_options
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.launch_table import OPTIONS


def test_every_option_of_launch_is_a_keyword():
    assert set(LaunchKeywords.__annotations__) == {option.name for option in OPTIONS}


def test_values_are_python_s(tmp_path):
    options = launch_options(
        {
            "name": "mine",
            "count": 9,
            "nprocs": "auto",
            "type": ["m6i.large", "m5.large"],
            "zone": "us-east-1a,us-east-1b",
            "env": {"A": "1 2"},
            "tag": {"team": "weather"},
            "spot": True,
            "notebook": False,
            "idle_timeout": "1h",
            "max_lifetime": 60,
            "file": tmp_path / "cluster.yaml",
            "connect": Connect.EICE,
            "preload": "numpy",
        },
        "launch",
    )
    assert options == LaunchOptions(
        name="mine",
        count=9,
        nprocs=None,
        type=("m6i.large", "m5.large"),
        zone=("us-east-1a", "us-east-1b"),
        env=(("A", "1 2"),),
        tag=(("team", "weather"),),
        spot=True,
        notebook=False,
        idle_timeout=3600,
        max_lifetime=60,
        file=Path(tmp_path / "cluster.yaml"),
        connect=Connect.EICE,
        preload=("numpy",),
    )


def test_a_keyword_that_is_none_is_a_type_error_as_everywhere_in_python():
    with pytest.raises(
        TypeError, match=r"launch\(\) got an unexpected keyword argument 'cuont'. Did you mean 'count'"
    ):
        launch_options({"cuont": 3}, "launch")


@pytest.mark.parametrize(
    ("keywords", "n_workers", "message"),
    [
        ({"count": 1}, None, "--count must be at least 2"),
        ({"count": 3}, 4, "count and n_workers both give the size"),
        ({"nprocs": "auto"}, 4, "n_workers cannot be combined with nprocs"),
        ({"dask": False}, None, "a BakeCluster needs Dask on its nodes"),
        ({"provision": False}, None, "a BakeCluster needs Dask on its nodes"),
        ({}, "many", "n_workers must be a whole number"),
        ({"name": "No Name"}, None, "is not a valid cluster name"),
    ],
)
def test_keywords_that_cannot_work_are_refused_before_anything_starts(keywords, n_workers, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        cluster_options(keywords, n_workers)


@pytest.mark.parametrize(("nprocs", "n_workers", "count"), [(1, 5, 6), (2, 5, 4), (8, 1, 2), (4, 0, 2)])
def test_a_number_of_workers_is_rounded_up_to_whole_nodes(nprocs, n_workers, count):
    assert cluster_options({"nprocs": nprocs}, n_workers).count == count


def test_a_cluster_without_a_name_gets_a_new_one(monkeypatch):
    first, second = cluster_options({}, None).name, cluster_options({"name": None}, None).name
    assert re.fullmatch(r"dask-[a-z0-9-]+-[0-9a-f]{4}", first)
    assert first != second
    assert cluster_options({"name": "mine"}, None).name == "mine"
    monkeypatch.setenv("DASK_BAKE__NAME", "ours")
    assert cluster_options({}, None).name == "ours"
