"""Commands with ``cluster.yaml`` instead of a name, with two clusters on moto's EC2."""

import json
from dataclasses import replace

import boto3
import pytest
import yaml
from moto import mock_aws

from dask_bake import api
from dask_bake.cli.main import run
from dask_bake.errors import BakeError
from isolation import isolate
from moto_launches import OPTIONS, answering_cloud, baked, launch


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The file of a running cluster, beside another cluster; no test here ends them."""
    folder = tmp_path_factory.mktemp("file")
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        isolate(patch, folder)
        baked(boto3.client("ec2", region_name="us-east-1"))
        with answering_cloud() as cloud:
            launch(cloud, replace(OPTIONS, name="mine", file=folder / "cluster.yaml"))
            launch(cloud, replace(OPTIONS, name="other"))
        patch.undo()
        yield folder / "cluster.yaml"


def test_a_command_uses_the_cluster_in_the_file(file, capsys):
    capsys.readouterr()
    assert run(["address", "--file", str(file), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    head = yaml.safe_load(file.read_text())["instances"][0]["private_ip"]
    assert document == {
        "name": "mine",
        "scheduler": f"tcp://{head}:8786",
        "dashboard_on_head": "http://127.0.0.1:8787/status",
        "python": 'from dask_bake import connect; client = connect("mine", cloud="aws", region="us-east-1")',
        "browser": "dask-bake ui mine --cloud aws --region us-east-1",
    }


def test_addresses_are_printed_within_80_columns(file, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    assert run(["address", "mine"]) == 0

    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert 'connect("mine")' in shown


def test_the_variable_of_dask_ec2_names_the_file(file, capsys, monkeypatch):
    monkeypatch.setenv("CLUSTERFILE", str(file))
    capsys.readouterr()
    assert run(["address", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mine"

    assert run(["address", "other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "other"


@pytest.mark.parametrize("command", ["status", "connect", "ui", "address", "allow-me", "down", "destroy"])
def test_a_name_that_differs_from_the_file_is_refused(file, command, capsys):
    assert run([command, "other", "--file", str(file)]) == 2

    assert f"{file} is about name mine, and the command line says other" in capsys.readouterr().err


def test_ls_with_a_file_lists_only_its_cluster(file, capsys, monkeypatch):
    capsys.readouterr()
    assert run(["ls", "--file", str(file), "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["mine"]

    monkeypatch.setenv("CLUSTERFILE", str(file))
    assert run(["ls", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["mine", "other"]


def test_connect_in_python_uses_the_cluster_in_the_file(file, monkeypatch):
    def refused(**given):
        with pytest.raises(BakeError) as caught:
            api.connect(**given)
        return caught.value.message

    keyless = refused(name="mine")
    assert keyless.startswith("the key of cluster mine is not on this machine")
    assert refused() == "there is more than one cluster: mine, other"
    assert refused(file=str(file)) == refused(name="mine", file=file) == keyless
    assert refused(name="other", file=file) == (f"{file} is about name mine, and the command line says other")
    monkeypatch.setenv("CLUSTERFILE", str(file))
    assert refused() == keyless
