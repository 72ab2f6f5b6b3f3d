"""Integration tests bake, boot, compute and take down in the local cloud.

Each process of pytest-xdist has one. A module runs in one process, as do the modules that share a cluster.
Where this machine cannot do that, they are left out, by name and with the reason; DASK_BAKE_TEST_ALL=1 makes
that an error.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dask_bake.bake.packer.packer import find_packer
from dask_bake.commands.bake import directories_of
from dask_bake.errors import BakeError
from dask_bake.local import control
from local_cloud import WATCH, LocalCloud, interrupt_running_commands, state
from polling import until
from xdist_schedule import SHARING, CloudsScheduling, rank

HERE = Path(__file__).parent
SHARED = "shared"
"""Name of the cluster that modules share."""


def why_not() -> str | None:
    """Return why this machine cannot run the local cloud, or None."""
    try:
        control.require_programs()
        find_packer(log=Path(os.devnull), cache=directories_of(os.environ).cache / "packer")
        privilege = control.root_prefix()
    except BakeError as error:
        return f"{error.message} {error.hint}"
    probe = subprocess.run(
        [*privilege, "unshare", "--mount", "--net", "--pid", "--fork", "true"],
        capture_output=True,
        check=False,
    )
    return None if probe.returncode == 0 else "This machine does not let root make namespaces."


def pytest_xdist_make_scheduler(config, log):
    """Schedule whole modules, and those that share a cluster together."""
    config.option.loadscopereorder = False
    return CloudsScheduling(config, log)


def pytest_collection_modifyitems(items):
    """Mark the tests of this folder, skip them where they cannot run, and put the longest modules first."""
    ours = [item for item in items if HERE in item.path.parents]
    reason = why_not() if ours else None
    if reason and os.environ.get("DASK_BAKE_TEST_ALL"):
        raise pytest.UsageError(f"the local cloud's tests cannot run: {reason}")
    for item in ours:
        item.add_marker(pytest.mark.local)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"{LEFT_OUT}{reason}"))
    sharing = {item.path.stem for item in ours if "cluster" in item.fixturenames}
    assert sharing <= {*SHARING}, f"they share a cluster: {sharing}"
    items.sort(key=lambda item: rank(item.path.stem) if item in ours else (-1, ""))


LEFT_OUT = "the local cloud cannot run here: "


def pytest_terminal_summary(terminalreporter):
    """Name the reason at the end if tests were skipped."""
    reasons = [str(each.longrepr[2]) for each in terminalreporter.stats.get("skipped", [])]
    ours = [reason.partition(LEFT_OUT)[2] for reason in reasons if LEFT_OUT in reason]
    if ours:
        terminalreporter.section("left out", yellow=True)
        terminalreporter.line(
            f"The local cloud's {len(ours)} tests (tests/integration) did not run. {ours[0]}"
        )


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """The local cloud of this process; it leaves only the image and the samples for later runs."""
    local = LocalCloud(home=tmp_path_factory.mktemp("home"))
    local.begin()
    yield local
    local.end()
    until(lambda: local.leftovers() == [], timeout=10, describe=local.leftovers)


@pytest.fixture(scope="session")
def image(cloud):
    """The id of a baked image."""
    return cloud.json("bake")["image"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A small environment, which is baked in seconds."""
    file = tmp_path_factory.mktemp("tiny") / "environment.yml"
    file.write_text("name: tiny\ndependencies: [dask, distributed]\n")
    return file


@pytest.fixture(autouse=True)
def interrupt_commands():
    """Interrupt the commands that a failed test has left running."""
    yield
    interrupt_running_commands()


@pytest.fixture(scope="module", autouse=True)
def check_leftovers():
    """Fail if a module leaves resources, apart from the shared cluster, or a running command."""
    before = state().resources
    yield
    assert WATCH.abandoned() == []
    assert sorted(each for each in state().resources - before if each.cluster != SHARED) == []


@pytest.fixture(scope="session")
def shared(cloud):
    """The launches of the cluster that modules share; at the end it is taken down."""
    launches = []
    yield launches
    if launches and is_alive(cloud, launches[-1]):
        cloud.run("down", SHARED, "--no-save")


@pytest.fixture(scope="module")
def cluster(cloud, image, shared):
    """The shared cluster: a head and two workers of two processes; the launch's JSON."""
    if not (shared and is_alive(cloud, shared[-1])):
        words = ("launch", "--name", SHARED, "--count", "3", "--nprocs", "2", "--ami", image)
        shared.append(cloud.json(*words))
    return shared[-1]


@pytest.fixture(scope="module")
def no_shared_cluster(cloud, shared):
    """Take the shared cluster down, for tests that stop the local cloud or expect it to be empty.

    The next module that shares the cluster launches it again.
    """
    if shared and is_alive(cloud, shared[-1]):
        cloud.run("down", SHARED, "--no-save")


def is_alive(cloud, launched):
    """Return whether all its nodes are running."""
    return {node["id"] for node in launched["nodes"]} <= set(cloud.live_instances())


@pytest.fixture(scope="session")
def python():
    """The Python that runs the tests."""
    return sys.executable


@pytest.fixture
def small_disk(cloud):
    """The local cloud with 300 MB for its instances' writes."""
    cloud.run("local", "down")
    folder = cloud.root / "instances"
    privilege = control.root_prefix()
    subprocess.run([*privilege, "mkdir", "-p", str(folder)], check=True)
    subprocess.run([*privilege, "mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(folder)], check=True)
    yield
    cloud.run("local", "down")
    subprocess.run([*privilege, "umount", str(folder)], check=True)
    assert shutil.disk_usage(folder).total > 300 * 2**20
