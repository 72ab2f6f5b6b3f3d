"""`dask-bake extend`: the command on the head, its result, and refusals before it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from dask_bake import clouds
from dask_bake.cli.main import run
from dask_bake.clusters.auto_shutdown import ShutdownTimer
from dask_bake.commands import clusters
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Connect, Role
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from dask_bake.ssh.connect import local_keystore
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys
from dask_bake.view.terminal import Terminal
from fakes import FakeCloud, a_plan, head_of, hint_of, workers_of

LIFETIME = ShutdownTimer("lifetime", limit=50_400, left=50_000, held="", why="its lifetime of 14 h is over")
IDLE = ShutdownTimer("idle", limit=1_800, left=7_200, held="", why="no client, task or session for 30 min")
NEAR = ShutdownTimer("lifetime", limit=43_200, left=200, held="", why="its lifetime of 12 h is over")


def timers(*timers: ShutdownTimer) -> str:
    return json.dumps({"role": "head", "switches": [asdict(one) for one in timers]})


@pytest.fixture
def cloud():
    return clouds.aws_cloud("us-east-1", {})


@pytest.fixture
def ec2():
    """EC2 with a cluster behind a bastion, so that no test connects to its head."""
    plan, ec2 = a_plan(connect=Connect.BASTION, bastion="jump", cidr=("10.0.0.9/32",)), FakeCloud()
    (head,) = ec2.run_instances(head_of(plan))
    ec2.run_instances(workers_of(plan, head.private_address))
    ec2.nodes({})
    return ec2


@pytest.fixture
def extend(cloud, ec2, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    plan = a_plan()
    cluster = Cluster("dask", cloud.name, cloud.region, plan.launch_id, (), ())
    local_keystore(cluster, cloud).write(Keys(new_key("x")))

    def extend(name: str | None = None, *, seconds: int = 7_200, json_output: bool = False) -> int:
        return clusters.extend(cloud, ec2, Terminal(), name=name, seconds=seconds, json_output=json_output)

    return extend


def test_it_runs_the_head_s_program_and_shows_when_the_cluster_ends(extend, ssh, capsys):
    commands = ssh(timers(LIFETIME, IDLE))

    assert extend() == 0

    assert commands.read_text() == "sudo -n /usr/libexec/dask-bake/extend 7200\n"
    assert capsys.readouterr().out == (
        "It shuts down in 13 h 53 min at the latest.\n"
        "It shuts down in 2 h unless a client connects or a task runs.\n"
    )


def test_if_the_shutdown_is_still_near_the_command_is_shown(extend, ssh, capsys):
    ssh(timers(NEAR))

    assert extend("dask", seconds=60) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "dask-bake extend dask postpones it."


def test_json_has_the_timers(extend, ssh, capsys):
    ssh(timers(LIFETIME))

    assert extend(json_output=True) == 0
    assert json.loads(capsys.readouterr().out) == {"switches": [asdict(LIFETIME)]}


def test_the_head_s_tag_has_the_new_end_for_the_list_of_clusters(extend, ssh, ec2):
    ssh(timers(LIFETIME))
    before = datetime.now(UTC)

    assert extend() == 0

    (head,) = (node for node in ec2.nodes({}) if node.role is Role.HEAD)
    ends = datetime.fromisoformat(dict(head.tags)[Tag.ENDS])
    assert timedelta(seconds=49_999) <= ends - before
    assert ends <= datetime.now(UTC) + timedelta(seconds=50_000)


def test_a_cluster_is_extended_without_permission_to_change_its_tag(extend, ssh, ec2, monkeypatch, capsys):
    def refuse(*_):
        raise BakeError("EC2 refused CreateTags: UnauthorizedOperation")

    ssh(timers(LIFETIME))
    monkeypatch.setattr(ec2, "tag", refuse)

    assert extend() == 0
    assert "It shuts down in 13 h 53 min" in (shown := capsys.readouterr()).out
    assert "ls shows the former end: EC2 refused CreateTags" in " ".join(shown.err.split())


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        ("", "sudo: extend: command not found\n", "sudo: extend: command not found"),
        ("", "", "no answer"),
        ("nonsense", "Connection closed\nby somebody\n", "Connection closed by somebody"),
    ],
)
def test_a_failure_is_reported_with_the_head_s_message(extend, ssh, answer, error, reason):
    ssh(answer, error=error, code=1)

    with pytest.raises(BakeError) as caught:
        extend()

    assert caught.value.message == f"the shutdown of cluster dask was not postponed: {reason}"
    assert hint_of(caught.value).startswith("dask-bake status dask")


def test_an_unknown_cluster_is_wrong_use(extend, ssh):
    commands = ssh(timers(LIFETIME))

    with pytest.raises(UsageError, match="taxi"):
        extend("taxi")
    assert not commands.exists()


def test_without_the_key_nothing_is_run(extend, cloud, ssh, tmp_path):
    commands = ssh(timers(LIFETIME))
    for key in tmp_path.rglob("id_*"):
        key.unlink()

    with pytest.raises(BakeError, match="the key of cluster dask"):
        extend()
    assert not commands.exists()


@pytest.mark.parametrize("by", ["soon", "-2h", "2 h", "1.5h", ""])
def test_an_invalid_duration_is_wrong_use_before_any_request(capsys, by):
    assert run(["extend", "--by", by]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "--by" in shown.err
    assert repr(by) in shown.err


def test_zero_is_wrong_use(extend, ssh):
    commands = ssh(timers(LIFETIME))

    with pytest.raises(UsageError, match="--by is 0, which does not extend anything"):
        extend(seconds=0)
    assert not commands.exists()
