"""Names of clusters, nodes, images and instance types in a shell's completion."""

import threading
import time

import pytest
from click.shell_completion import ShellComplete

from dask_bake.cli.main import cli
from dask_bake.commands.access import names
from dask_bake.models.cloud import Role
from dask_bake.models.tags import Tag

FLAGS = ("--cloud", "aws", "--region", "us-east-1")


def complete(*words, begun=""):
    """Return the plain completions after these words."""
    complete = ShellComplete(cli, {}, "dask-bake", "_DASK_BAKE_COMPLETE")
    return [item.value for item in complete.get_completions(list(words), begun) if item.type == "plain"]


def tags_of(kind, tags):
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": pairs}]


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Wait longer than a shell: this machine may be busy."""
    monkeypatch.setattr(names, "SECONDS", 120.0)


def run_nodes(aws, name, indices, *, launch_id="0a1b2c3d4e5f"):
    """Start instances that have the tags of a cluster's nodes."""
    image = aws.register_image(Name=f"of-{name}", RootDeviceName="/dev/xvda")["ImageId"]
    for index in indices:
        tags = {
            Tag.MANAGED: "true",
            Tag.CLUSTER: name,
            Tag.LAUNCH: launch_id,
            Tag.ROLE: Role.WORKER if index else Role.HEAD,
            Tag.FIRST_INDEX: str(index),
        }
        aws.run_instances(
            ImageId=image,
            InstanceType="m6i.large",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=tags_of("instance", tags),
        )


@pytest.fixture
def clusters(aws):
    """Two clusters: taxi with three nodes, and night with two; tango has tags that no launch gives."""
    run_nodes(aws, "taxi", (0, 1, 12))
    run_nodes(aws, "night", (0, 1))
    run_nodes(aws, "tango", (0,), launch_id="../../etc")


@pytest.fixture
def image(aws):
    """An image that dask-bake has tagged; its id."""
    tags = {Tag.MANAGED: "true", Tag.DIGEST: "d" * 64, Tag.ENVIRONMENT: "torch"}
    image_id = aws.register_image(Name="dask-bake-torch", RootDeviceName="/dev/xvda")["ImageId"]
    aws.create_tags(Resources=[image_id], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return image_id


@pytest.mark.parametrize("command", ["status", "ssh", "run", "logs", "ssh-config", "connect", "down"])
def test_a_cluster_is_the_first_word(clusters, command):
    assert complete(command, *FLAGS) == ["night", "taxi"]
    assert complete(command, *FLAGS, begun="ta") == ["taxi"]
    assert complete(command, *FLAGS, "--name", begun="n") == ["night"]


def test_nodes_come_after_the_cluster_in_lists_too(clusters):
    assert complete("ssh", *FLAGS, "taxi") == ["0", "1", "12"]
    assert complete("run", *FLAGS, "taxi", begun="0,1") == ["0,1", "0,12"]
    assert complete("ssh", *FLAGS, "--name", "night", begun="1") == ["1"]
    assert complete("ssh", *FLAGS, "taxi", "1") == []
    assert complete("ssh", *FLAGS, "gone") == []


def test_nothing_is_completed_in_the_command_for_a_node(clusters):
    assert complete("run", *FLAGS, "taxi", "--", begun="ta") == []


def test_cp_has_files_of_this_machine_and_clusters_with_a_colon(clusters):
    assert complete("cp", *FLAGS, begun="ta") == ["taxi:"]
    assert complete("cp", *FLAGS) == []
    assert complete("cp", *FLAGS, begun="./ta") == []
    items = ShellComplete(cli, {}, "dask-bake", "_DASK_BAKE_COMPLETE").get_completions(["cp", *FLAGS], "./ta")
    assert [(item.type, item.value) for item in items] == [("file", "./ta")]


def test_images_are_completed_by_name_and_id(image):
    assert complete("images", "show", *FLAGS) == ["dask-bake-torch", image]
    assert complete("images", "diff", *FLAGS, "dask-bake-torch", begun="ami-") == [image]
    assert complete("launch", *FLAGS, "--ami") == [image]
    assert complete("launch", *FLAGS, "--image", begun="t") == ["torch"]


def test_types_are_completed_without_a_request(monkeypatch):
    """Also the last of a list."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    assert complete("launch", "--type", begun="m6i.2x") == ["m6i.2xlarge"]
    assert complete("launch", "--head-type", begun="m5.large,m6i.2x") == ["m5.large,m6i.2xlarge"]
    assert complete("bake", "--type", begun="m6g.medi") == ["m6g.medium"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--cloud", "mars"),
        ("--cloud", "aws", "--profile", "no-such-profile"),
        ("--cloud", "aws", "--region", "no such region"),
        ("--cloud", "local"),
    ],
)
def test_whatever_fails_there_are_no_names_and_nothing_is_said(flags, tmp_path, monkeypatch, capfd):
    """Of options, of AWS's settings, or of a local cloud that is not running."""
    monkeypatch.setenv("DASK_BAKE_LOCAL_NAME", "db-none")
    monkeypatch.setenv("DASK_BAKE_LOCAL_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("DASK_BAKE_LOCAL_PORT", "1")

    assert complete("status", *flags) == []
    assert complete("images", "show", *flags) == []
    assert capfd.readouterr() == ("", "")


def test_a_defect_shows_no_names(capfd):
    def fail():
        raise RuntimeError("defect")

    assert names.in_time(fail) == ()
    assert capfd.readouterr() == ("", "")


def test_a_cloud_that_does_not_answer_in_time_shows_no_names(monkeypatch):
    monkeypatch.setattr(names, "SECONDS", 0.1)
    answered = threading.Event()
    begun = time.monotonic()
    try:
        assert names.in_time(lambda: ("late",) if answered.wait(60) else ()) == ()
    finally:
        answered.set()
    assert time.monotonic() - begun < 30


def test_a_question_for_an_mfa_code_is_not_asked(tmp_path, monkeypatch, capfd):
    """A shell that completes a word has the terminal, but nobody expects to type a code there."""
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
        "[profile strict]\nrole_arn = arn:aws:iam::123456789012:role/strict\nsource_profile = base\n"
        "mfa_serial = arn:aws:iam::123456789012:mfa/anna\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("_DASK_BAKE_COMPLETE", "bash_complete")
    monkeypatch.setattr("getpass.getpass", lambda _: pytest.fail("it has asked"))

    assert complete("status", "--cloud", "aws", "--profile", "strict", "--region", "us-east-1") == []
    assert capfd.readouterr() == ("", "")
