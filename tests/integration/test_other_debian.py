"""setup, bake, launch and compute on the Debian release that this machine does not run."""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from dask_bake.local.control import down
from other_debian import machine, other_release

CHECKOUT = Path(__file__).parents[2]
CLONE = "/root/dask-bake"
LOCAL_CLOUD = {"DASK_BAKE_LOCAL_NAME": "dask-bake-other", "DASK_BAKE_LOCAL_PORT": "5667"}
SETTINGS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
COMPUTE = """
import json, platform
from dask_bake import connect
with connect("other") as client:
    nodes = client.run(lambda: platform.freedesktop_os_release()["VERSION_ID"])
    print(json.dumps([client.submit(sum, range(1000)).result(), sorted(nodes.values())]))
"""


def git(*words: str) -> str:
    """Return git's output for this checkout."""
    return subprocess.run(
        ["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A machine of the other release; its local cloud is removed afterwards."""
    repository = Path(git("rev-parse", "--path-format=absolute", "--git-common-dir"))
    for name, value in {**LOCAL_CLOUD, "DASK_BAKE_LOCAL_ROOT": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    down([].append)  # leftovers of a run that was killed
    with ExitStack() as stack:
        stack.callback(down, [].append)
        given = [(repository, "/repository")]
        yield stack.enter_context(machine(other_release(), given, tmp_path, **LOCAL_CLOUD, **SETTINGS))


@pytest.mark.slow
def test_a_fresh_clone_runs_from_bake_to_down(other):
    """With the committed files and the uncommitted changes."""
    commit = git("stash", "create") or git("rev-parse", "HEAD")
    other.run("git", "clone", "--quiet", "--shared", "--no-checkout", "/repository", CLONE)
    other.run("git", "checkout", "--quiet", "--detach", commit, folder=CLONE)
    other.run("make", "setup", folder=CLONE, timeout=1200)

    def dask_bake(*words):
        return json.loads(other.run(f"{CLONE}/.venv/bin/dask-bake", *words, "--json", timeout=900))

    for image in dask_bake("images"):  # an earlier run's; the base stays
        dask_bake("images", "remove", "--yes", image["id"])
    baked = dask_bake("bake", "--installer", "pip")
    launched = dask_bake("launch", "--name", "other", "--count", "2", "--nprocs", "1")
    computed = json.loads(other.run(f"{CLONE}/.venv/bin/python", "-c", COMPUTE))
    ended = dask_bake("down", "other")
    other.run(f"{CLONE}/.venv/bin/dask-bake", "local", "down")

    release = other_release()
    assert (baked["built"], baked["python"], baked["verified"]) == (True, release.python, "yes")
    assert (len(launched["nodes"]), launched["workers"]) == (2, 1)
    assert computed == [499500, [str(release.number)]]
    assert [node["index"] for node in ended["nodes"]] == [0, 1]
    assert dask_bake("local", "doctor") == []
