"""``dask bake …``, and what else other programs find by entry points."""

import importlib.metadata
import signal
import tomllib
from pathlib import Path

import dask.cli
import pytest
from click.testing import CliRunner

from dask_bake.cli.dask import dask_command
from dask_bake.client.cluster import discover

DECLARED = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
    "entry-points"
]


@pytest.fixture
def group():
    """Dask's command line with ``bake``, as Dask registers it."""
    for name, value in DECLARED["dask_cli"].items():
        dask.cli._register_command_ep(dask.cli.cli, importlib.metadata.EntryPoint(name, value, "dask_cli"))
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield dask.cli.cli
    del dask.cli.cli.commands["bake"]
    for number, handler in handlers.items():  # a command that has ended ignores signals
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["bake", "--version"], 0, "dask-bake, version"),
        (["bake", "launch", "--help"], 0, "Usage: dask-bake launch"),
        (["bake", "--help"], 0, "Launch Dask clusters on EC2"),
        (["bake", "launch", "--count", "1"], 2, "--count must be at least 2"),
        (["--help"], 0, "Launch clusters on EC2 from images that you bake"),
    ],
)
def test_dask_bake_is_a_command_of_dask_s(group, words, code, text):
    result = CliRunner().invoke(group, words)
    assert (result.exit_code, text in " ".join(result.output.split())) == (code, True), result.output


def test_dask_ctl_finds_the_discovery():
    (found,) = DECLARED["dask_cluster_discovery"].items()
    assert found[0] == "dask-bake"
    assert importlib.metadata.EntryPoint(*found, "dask_cluster_discovery").load() is discover
    assert DECLARED["dask_cli"] == {"bake": "dask_bake.cli.dask:dask_command"}
    assert dask_command.name == "bake"
