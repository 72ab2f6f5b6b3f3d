"""Nodes without Dask: the environment and SSH only."""

import pytest

from local_nodes import launched

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bare(cloud, image):
    """A head and a worker node that start no Dask."""
    yield from launched(cloud, image, "bare", "--no-dask", "--env", "MINE=a b")


@pytest.mark.parametrize("node", ["0", "1"])
def test_without_dask_the_environment_is_there_but_no_dask_unit_runs(bare, node):
    units = ("dask-scheduler", "dask-worker", "dask-jupyter.socket")

    assert bare.states(node, *units) == ["inactive"] * 3
    assert bare.run(node, "python", "-c", "import dask, os; print(os.environ['MINE'])") == "a b\n"
    assert bare.failed_units(node) == ""
