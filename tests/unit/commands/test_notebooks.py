"""The notebooks of a head, before ``dask-bake down`` ends its cluster."""

import base64
import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dask_bake import clouds
from dask_bake.commands import clusters, notebooks
from dask_bake.commands.clusters import Ending
from dask_bake.commands.notebooks import save_notebooks
from dask_bake.models.cloud import Connect
from dask_bake.notebooks.folder import SavedNotebooks
from dask_bake.ssh.connect import local_keystore
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys
from dask_bake.view.terminal import Terminal
from fakes import FakeCloud, a_cluster, a_plan, head_of, workers_of


def answer(texts: dict[str, str], left: dict[str, int] | None = None) -> str:
    document = {"notebooks": texts, "left": left or {}, "is_complete": True}
    return base64.b64encode(gzip.compress(json.dumps(document).encode(), mtime=0)).decode()


@pytest.fixture
def cloud():
    return clouds.aws_cloud("us-east-1", {})


@pytest.fixture
def ec2(cloud, monkeypatch, tmp_path):
    """EC2 with a cluster behind a bastion, whose key is on this machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    plan, ec2 = a_plan(connect=Connect.BASTION, bastion="jump", cidr=("10.0.0.9/32",)), FakeCloud()
    (head,) = ec2.run_instances(head_of(plan))
    ec2.run_instances(workers_of(plan, head.private_address))
    ec2.nodes({})
    local_keystore(a_cluster(plan), cloud).write(Keys(new_key("x")))
    return ec2


@pytest.fixture
def ended(monkeypatch) -> list[str]:
    """The names of the clusters that were ended."""
    names: list[str] = []
    monkeypatch.setattr(clusters, "take_down", lambda cluster, *_, **__: names.append(cluster.name))
    return names


@pytest.fixture
def down(cloud, ec2, ended):
    """End the cluster, and return the exit code."""

    def down(*, asks: bool = False, saves: bool = True, json_output: bool = False) -> int:
        return clusters.down(
            cloud, ec2, Terminal(), Ending(), name="dask", asks=asks, saves=saves, json_output=json_output
        )

    return down


def test_they_are_saved_before_the_cluster_ends(down, ended, ssh, tmp_path, capsys):
    commands = ssh(answer({"a.ipynb": "{}", "deep/b.ipynb": "[]"}))

    assert down(json_output=True) == 0

    printed = capsys.readouterr()
    (folder,) = (tmp_path / "me/dask-bake-notebooks").iterdir()
    assert commands.read_text().startswith("/usr/libexec/dask-bake/notebooks\n")
    assert json.loads(printed.out)["notebooks"] == {
        "folder": str(folder),
        "saved": ["a.ipynb", "deep/b.ipynb"],
        "lost": [],
        "trouble": None,
    }
    assert f"2 notebooks saved in {folder}.\n" in printed.err
    assert (folder / "deep/b.ipynb").read_text() == "[]"
    assert ended == ["dask"]


def test_with_no_save_the_head_is_not_asked_for_notebooks(down, ended, ssh, capsys):
    commands = ssh(answer({"a.ipynb": "{}"}))

    assert down(saves=False, json_output=True) == 0

    assert json.loads(capsys.readouterr().out)["notebooks"] is None
    assert "notebooks" not in commands.read_text()
    assert ended == ["dask"]


@pytest.mark.parametrize("output", [answer({}, {"big.ipynb": 30_000_000}), "nonsense"])
def test_on_a_terminal_the_loss_of_notebooks_is_confirmed(down, ended, ssh, monkeypatch, capsys, output):
    ssh(output)
    answers = iter([False, True])
    monkeypatch.setattr(sys, "stdin", replace_isatty(is_terminal=True))
    monkeypatch.setattr(notebooks, "confirm", lambda *_, **__: next(answers))

    assert down(asks=True) == 0
    assert ended == []
    assert down(asks=True) == 0
    assert ended == ["dask"]


@pytest.mark.parametrize(("is_terminal", "asks"), [(False, True), (True, False)])
def test_a_script_s_cluster_ends_and_the_loss_is_printed(
    down, ended, ssh, monkeypatch, capsys, is_terminal, asks
):
    """As does that of a user who has said --yes."""
    ssh(answer({"a.ipynb": "{}"}, {"big.ipynb": 30_000_000}))
    monkeypatch.setattr(sys, "stdin", replace_isatty(is_terminal=is_terminal))

    assert down(asks=asks) == 0

    assert "lost when the cluster ends: big.ipynb." in capsys.readouterr().err
    assert ended == ["dask"]


class replace_isatty:  # noqa: N801
    def __init__(self, *, is_terminal: bool):
        self.isatty = lambda: is_terminal


def test_a_head_that_cannot_tell_is_trouble_with_its_reason(cloud, ec2, ssh):
    ssh(error="sh: 1: /usr/libexec/dask-bake/notebooks: not found\n", code=127)
    (cluster,) = clusters.list_clusters(ec2, cloud)

    saved = save_notebooks(cluster, cloud, ec2)

    assert saved == SavedNotebooks(trouble="sh: 1: /usr/libexec/dask-bake/notebooks: not found")


def test_without_the_cluster_s_key_the_trouble_is_that(cloud, ec2, ssh, tmp_path):
    commands = ssh(answer({}))
    for key in tmp_path.rglob("id_*"):
        key.unlink()
    (cluster,) = clusters.list_clusters(ec2, cloud)

    assert save_notebooks(cluster, cloud, ec2).trouble.startswith(
        "the key of cluster dask is not on this machine"
    )
    assert not commands.exists()


@pytest.mark.parametrize("state", ["pending", "terminated"])
def test_a_head_that_does_not_run_has_none(cloud, ec2, ssh, state):
    commands = ssh(answer({}))
    (cluster,) = clusters.list_clusters(ec2, cloud)
    nodes = tuple(replace(node, state=state) for node in cluster.nodes)

    assert save_notebooks(replace(cluster, nodes=nodes), cloud, ec2) == SavedNotebooks()
    assert not commands.exists()


def test_a_folder_that_cannot_be_written_is_trouble(cloud, ec2, ssh, tmp_path):
    ssh(answer({"a.ipynb": "{}"}))
    Path(tmp_path / "me").write_text("a file")
    (cluster,) = clusters.list_clusters(ec2, cloud)

    assert "a.ipynb cannot be written" in save_notebooks(cluster, cloud, ec2).trouble
