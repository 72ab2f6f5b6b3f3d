"""Logs that are kept of a cluster when it is ended."""

import os
import threading
import time

import pytest

from dask_bake.access.ended import KEPT_FOR, find_ended, folder, has_ended_logs, keep
from dask_bake.errors import BakeError, UsageError
from fakes import FakeCloud, a_cluster, a_plan

NOW = float(int(time.time()))


def unreachable():
    raise BakeError("the key is not on this machine")


@pytest.fixture
def environ(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path)}


def kept(environ, name="taxi", console="one\ntwo", now=NOW):
    cluster = a_cluster(a_plan(name=name))
    return keep(cluster, unreachable, FakeCloud(console=console), environ, seconds=60, now=lambda: now)


def test_without_the_key_the_consoles_are_kept_for_their_owner_alone(environ):
    assert kept(environ)
    found = find_ended("taxi", environ, NOW)
    where = (found.name, found.cloud, found.region, found.ended.timestamp())
    assert where == ("taxi", "aws", "us-east-1", NOW)
    assert [(record.node, record.text) for record in found.records] == [
        (index, text) for index in range(3) for text in ("one", "two")
    ]
    (path,) = folder(environ).iterdir()
    assert (path.stat().st_mode & 0o777, folder(environ).stat().st_mode & 0o777) == (0o600, 0o700)


def test_they_are_forgotten_after_seven_days(environ):
    kept(environ)
    (path,) = folder(environ).iterdir()
    os.utime(path, (NOW, NOW))
    assert has_ended_logs("taxi", environ)
    with pytest.raises(UsageError, match="no logs are kept of a cluster taxi"):
        find_ended("taxi", environ, NOW + KEPT_FOR + 1)
    assert list(folder(environ).iterdir()) == []


def test_without_a_name_it_is_the_only_one(environ):
    kept(environ)
    assert find_ended(None, environ, NOW).name == "taxi"
    kept(environ, "other")
    with pytest.raises(UsageError, match="several clusters: other, taxi"):
        find_ended(None, environ, NOW)


def test_nothing_is_kept_of_a_cluster_that_has_printed_nothing(environ):
    assert not kept(environ, console="")
    assert not folder(environ).exists()


def test_what_takes_too_long_does_not_delay_the_end(environ):
    """A node that never answers costs the time that was given, and no more."""
    never = threading.Event()
    try:
        cluster = a_cluster(a_plan(name="taxi"))
        assert not keep(cluster, lambda: never.wait(60) and {}, FakeCloud(), environ, seconds=0.05)
    finally:
        never.set()


def test_a_folder_that_cannot_be_written_is_no_error(environ, tmp_path):
    (tmp_path / "dask-bake").write_text("a file")
    assert not kept(environ)


def test_a_file_that_is_no_log_is_passed_over(environ):
    kept(environ)
    (folder(environ) / "aws-x-broken-1.jsonl.gz").write_bytes(b"no gzip")
    assert find_ended(None, environ, NOW).name == "taxi"
