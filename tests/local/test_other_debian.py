"""The Debian release that this machine is not: what the README says, in a tree of it, from a fresh clone."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from dask_bake.local.control import down
from local_cloud import machine_state
from other_debian import machine, other_release

CHECKOUT = Path(__file__).parents[2]
CLONE = "/root/dask-bake"
OURS = {"DASK_BAKE_LOCAL_NAME": "dask-bake-other", "DASK_BAKE_LOCAL_PORT": "5667"}
COMPUTE = """
import json, platform
from dask_bake.api import connect
with connect("other") as client:
    nodes = client.run(lambda: platform.freedesktop_os_release()["VERSION_ID"])
    print(json.dumps([client.submit(sum, range(1000)).result(), sorted(nodes.values())]))
"""


def git(*words: str) -> str:
    """What git said of the checkout."""
    return subprocess.run(
        ["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A machine of the other release; whatever happens there, nothing of it is left here."""
    repository = Path(git("rev-parse", "--path-format=absolute", "--git-common-dir"))
    safe = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    given = [(repository, "/repository")]
    before = machine_state()
    with machine(
        other_release(), given, tmp_path, **OURS, **safe, AWS_EC2_METADATA_DISABLED="true"
    ) as running:
        yield running
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DASK_BAKE_LOCAL_ROOT", str(tmp_path / "nowhere"))
    down([].append)
    assert machine_state() == before


@pytest.mark.slow
def test_a_fresh_clone_bakes_launches_computes_and_ends_there(other):
    """`make setup`, then bake, launch, compute, down, with what is committed, and what is changed since."""
    release = other_release()
    commit = git("stash", "create") or git("rev-parse", "HEAD")

    other.run("git", "clone", "--quiet", "--shared", "--no-checkout", "/repository", CLONE)
    other.run("git", "checkout", "--quiet", "--detach", commit, folder=CLONE)
    other.run("make", "setup", folder=CLONE, timeout=1200)
    dask_bake, python = f"{CLONE}/.venv/bin/dask-bake", f"{CLONE}/.venv/bin/python"
    baked = json.loads(other.run(dask_bake, "bake", "--installer", "pip", "--json", timeout=1200))
    launched = json.loads(
        other.run(dask_bake, "launch", "--name", "other", "--count", "2", "--nprocs", "1", "--json")
    )
    computed = json.loads(other.run(python, "-c", COMPUTE))
    other.run(dask_bake, "down", "other")
    left = json.loads(other.run(dask_bake, "ls", "--json"))
    other.run(dask_bake, "local", "down")

    print(baked, launched)
    assert (len(launched["nodes"]), launched["workers"]) == (2, 1)
    assert computed == [sum(range(1000)), [str(release.number)]]
    assert left == []
