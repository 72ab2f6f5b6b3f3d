"""The program that reports a failed stage of cloud-init, and ends the node or keeps it."""

import json

import pytest

import watch_facts
from node_programs import FakeCommands, load

OFF = ["systemctl poweroff"]


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node whose cloud-init found EC2 and wrote the watch's limits; a test may change each."""
    return Node(monkeypatch, tmp_path)


class Node:
    """The files that the program reads, its console, and the commands that it runs."""

    def __init__(self, monkeypatch, folder):
        self.program, self._patch, self._folder = load("failed"), monkeypatch, folder
        for name in ("LIMITS", "USER_DATA", "STATUS", "CLOUD_ID"):
            monkeypatch.setattr(self.program, name, str(folder / name))
        monkeypatch.setattr(watch_facts, "CONSOLE", str(folder / "console"))
        self._commands = FakeCommands(folder, "systemctl", "systemd-run")
        monkeypatch.setenv("PATH", str(self._commands.path))
        self.write("CLOUD_ID", "aws")
        self.write("LIMITS", "DASK_BAKE_LIFETIME=600\n")
        self.write("USER_DATA", f"#cloud-config\nwrite_files: [{{path: {folder / 'LIMITS'}}}]\n")

    def write(self, name, text):
        (self._folder / name).write_text(text)

    def remove(self, name):
        (self._folder / name).unlink()

    def fail(self, unit):
        """Run the program for the unit; return what it wrote to the console, and the commands it ran."""
        self._patch.setattr(self.program.sys, "argv", ["failed", unit])
        self.program.main()
        return (self._folder / "console").read_bytes().decode().strip(), self._commands.lines


@pytest.mark.parametrize(
    ("unit", "stage"),
    [
        ("cloud-init-local", "init-local"),
        ("cloud-init", "init"),
        ("cloud-init-network", "init"),
        ("cloud-config", "modules-config"),
        ("cloud-final", "modules-final"),
    ],
)
def test_the_stage_and_its_errors_are_reported_and_the_node_powers_off(node, capsys, unit, stage):
    node.write("STATUS", json.dumps({"v1": {stage: {"errors": ["one \u2014", "two"]}}}))
    line = f'DASK-BAKE-FAILED {stage}: "one \u2014; two"'

    assert node.fail(unit) == (line, OFF)
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.parametrize("status", ["", "{}", '{"v1": {"init": null}}', '{"v1": {"init": {"errors": []}}}'])
def test_without_an_error_the_log_is_named(node, status):
    node.write("STATUS", status)

    assert node.fail("cloud-init") == ('DASK-BAKE-FAILED init: "see /var/log/cloud-init.log"', OFF)


@pytest.mark.parametrize("cloud_id", ["", "none\n"])
def test_without_a_cloud_the_metadata_service_is_named_and_the_node_powers_off(node, cloud_id):
    """Then there is no user-data either."""
    node.write("CLOUD_ID", cloud_id)
    node.remove("LIMITS")
    node.remove("USER_DATA")

    assert node.fail("cloud-init") == (
        'DASK-BAKE-FAILED init: "the metadata service does not answer"',
        OFF,
    )


def test_a_node_with_keep_on_failure_stays(node):
    node.write("LIMITS", "DASK_BAKE_LIFETIME=600\nDASK_BAKE_KEEP_ON_FAILURE=true\n")

    assert node.fail("cloud-final")[1] == []


def test_a_node_that_stays_still_has_its_lifetime_when_cloud_init_wrote_no_limits(node):
    node.remove("LIMITS")
    node.write("USER_DATA", "DASK_BAKE_LIFETIME=600\nDASK_BAKE_KEEP_ON_FAILURE=true\n")

    assert node.fail("cloud-init")[1] == ["systemd-run --on-active=600 systemctl poweroff"]


def test_an_instance_with_other_user_data_stays(node):
    node.remove("LIMITS")
    node.write("USER_DATA", "#!/bin/sh\nfalse\n")

    assert node.fail("cloud-final")[1] == []
