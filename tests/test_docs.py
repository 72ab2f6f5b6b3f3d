"""What the documents say of the code is so."""

import re
from pathlib import Path

import click
import pytest

from dask_bake.cli import cli

HOME = Path(__file__).parents[1]
DOCUMENTS = [
    HOME / "README.md",
    HOME / "CHANGELOG.md",
    *sorted((HOME / "docs").glob("*.md")),
    HOME / "examples/README.md",
]
VARIABLE = re.compile(r"\bDASK_BAKE_[A-Z_]*[A-Z]\b")


def test_the_readme_lists_every_command():
    """Its table and the command line have the same commands."""
    listed = re.findall(r"^\| `dask-bake (\w+)` \|", (HOME / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(cli.commands)


def test_the_local_cloud_s_page_lists_its_commands():
    """Likewise for `dask-bake local`."""
    local = cli.commands["local"]
    assert isinstance(local, click.Group)
    listed = re.findall(r"^dask-bake local (\w+) ", (HOME / "docs/local-cloud.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(local.commands)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(document):
    """Every relative link names a file that is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_variables_are_documented_and_documented_ones_exist():
    """A user's variables are those that the code reads."""
    code = "\n".join(path.read_text() for path in (HOME / "launcher/dask_bake").rglob("*.py"))
    documents = "\n".join(path.read_text() for path in DOCUMENTS)
    of_nodes = {"DASK_BAKE_CLUSTER", "DASK_BAKE_NPROCS", "DASK_BAKE_NTHREADS", "DASK_BAKE_SCHEDULER"}
    of_scripts = {"DASK_BAKE_PAYLOAD"}

    read = set(VARIABLE.findall(code)) - of_nodes - of_scripts
    assert read == set(VARIABLE.findall(documents)) - of_nodes - of_scripts


def test_the_readme_fits_a_terminal():
    """No line of its blocks is wider than 80 columns."""
    blocks = re.findall(r"^```.*?$(.*?)^```$", (HOME / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert [line for block in blocks for line in block.splitlines() if len(line) > 80] == []


def test_the_readme_names_the_test_command_that_ci_runs():
    """CI runs what the README tells a user to run."""
    assert "\n    make test\n" in (HOME / "README.md").read_text()
    assert "\nmake test\n" in (HOME / ".ci/run").read_text()
