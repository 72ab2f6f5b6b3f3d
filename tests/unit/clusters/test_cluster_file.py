"""The metadata file of a launch selects a cluster."""

from pathlib import Path

import pytest
import yaml

from dask_bake.clusters.cluster_file import ClusterFile, read_cluster_file
from dask_bake.errors import UsageError
from dask_bake.models.cluster import Cluster
from dask_bake.view.cluster_json import metadata_document

CLUSTER = Cluster("mine", "aws", "eu-west-1", "abc")
# What dask-ec2's Cluster.to_file writes.
OF_DASK_EC2 = {
    "region": "us-west-2",
    "instances": [
        {"uid": "i-1", "ip": "192.0.2.1", "port": 22, "username": "ubuntu", "keypair": "~/.ssh/k"},
        {"uid": "i-2", "ip": "192.0.2.2", "port": 22, "username": "ubuntu", "keypair": "~/.ssh/k"},
    ],
}


@pytest.fixture
def path(tmp_path):
    """Return the metadata file of a cluster."""
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(metadata_document(CLUSTER, "key")))
    return path


def test_the_metadata_file_of_a_launch_is_read(path):
    assert read_cluster_file(path, {}, {}) == ClusterFile(path, "mine", "aws", "eu-west-1", "abc")


def test_without_a_file_there_is_none():
    assert read_cluster_file(None, {"CLUSTERFILE": ""}, {"name": "mine"}) is None


def test_the_file_option_overrides_the_variable(path, tmp_path):
    file = read_cluster_file(path, {"CLUSTERFILE": str(tmp_path / "other.yaml")}, {})
    assert file is not None
    assert file.path == path


@pytest.mark.parametrize(
    "flags",
    [
        {"name": "mine", "cloud": "aws", "region": "eu-west-1"},
        {"name": None, "cloud": None, "region": None},
        {"cloud": "auto"},
    ],
)
def test_flags_that_agree_with_the_file_are_accepted(path, flags):
    assert read_cluster_file(path, {}, flags) is not None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"name": "other"}, "is about name mine, and the command line says other"),
        ({"cloud": "local"}, "is about cloud aws, and the command line says local"),
        ({"region": "us-east-1"}, "is about region eu-west-1, and the command line says us-east-1"),
    ],
)
def test_flags_that_contradict_the_file_option_are_refused_and_override_the_variable(path, flags, message):
    with pytest.raises(UsageError, match=message):
        read_cluster_file(path, {}, flags)

    assert read_cluster_file(None, {"CLUSTERFILE": str(path)}, flags) is None


def test_a_later_cluster_of_the_same_name_is_refused(path):
    file = read_cluster_file(path, {}, {})
    assert file is not None
    file.check(CLUSTER)
    with pytest.raises(UsageError, match="is about an earlier cluster mine"):
        file.check(Cluster("mine", "aws", "eu-west-1", "def"))


def test_a_file_of_dask_ec2_is_refused_with_the_command_that_ends_its_cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(OF_DASK_EC2))

    with pytest.raises(UsageError) as caught:
        read_cluster_file(path, {}, {})

    assert caught.value.message == f"{path} was written by dask-ec2, whose clusters dask-bake cannot manage"
    assert caught.value.hint == (
        "end it with aws ec2 terminate-instances --region us-west-2 --instance-ids i-1 i-2"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: [", "was not written by dask-bake launch --file: "),
        ("", "--file: it holds no settings"),
        ("- a", "--file: it holds no settings"),
        ("colour: red", "--file: it has no name"),
        ("name: mine\ncloud: aws", "--file: it has no region"),
        ("name: 7\ncloud: aws\nregion: x", "--file: it has no name"),
        ("name: mine\ncloud: gcp\nregion: x", "--file: its cloud is 'gcp'"),
        ("name: Mine\ncloud: aws\nregion: x", "'Mine' is not a valid cluster name"),
        ("instances: 3\nregion: x", "was written by dask-ec2"),
    ],
)
def test_a_foreign_or_malformed_file_is_refused_with_a_one_line_message(tmp_path, content, message):
    path = tmp_path / "cluster.yaml"
    path.write_text(content)

    with pytest.raises(UsageError, match=message) as caught:
        read_cluster_file(path, {}, {})

    assert "\n" not in caught.value.message


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file .*cluster\.yaml"):
        read_cluster_file(Path(tmp_path, "cluster.yaml"), {}, {})
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_cluster_file(tmp_path, {}, {})
