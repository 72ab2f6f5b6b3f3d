"""Every SSH transport with real SSH clients, to servers on loopback."""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dask_bake.commands import connect
from dask_bake.models.cloud import Connect
from dask_bake.ssh.command import Forward, host, shell_command
from dask_bake.ssh.connect import local_keystore, query_head
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys, Keystore
from dask_bake.ssh.transport import Transport, check_programs, check_version, transport_of
from dask_bake.ssh.tunnel import Tunnel
from dask_bake.view.terminal import Terminal
from fakes import CLOUD, HOST_KEY, FakeCloud, a_cluster, a_plan
from http_servers import serving
from polling import until
from ports import free_port
from ssh_servers import SshServer

BIN = Path(__file__).parents[2] / "support/bin"
REAL_SSH = shutil.which("ssh")
OPTIONS = {
    Connect.BASTION: {"bastion": "jump", "cidr": ("10.0.0.9/32",)},
    Connect.SSM: {"iaminstance_name": "agent"},
    Connect.EICE: {},
}
COUNTS = {"workers": 2}
IDENTITY = {"workers": {"tcp://10.0.0.5:1": {"host": "10.0.0.5"}, "tcp://10.0.0.6:1": {"host": "10.0.0.6"}}}


@dataclass
class Scene:
    """A cluster whose head and first worker answer through the transport."""

    kind: Connect
    keystore: Keystore
    head: SshServer
    worker: SshServer
    map: Path

    @property
    def cluster(self):
        return a_cluster(a_plan(connect=self.kind, private=True, **OPTIONS[self.kind]))

    @property
    def transport(self) -> Transport:
        return transport_of(self.cluster, CLOUD)

    def node_host(self, index=0):
        return host(self.cluster, self.cluster.nodes[index], self.keystore, self.transport)

    def run(self, *words, index=0):
        command = shell_command(self.node_host(index), words, is_terminal=False)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def pin_all(self):
        head, worker, _ = self.cluster.nodes
        self.keystore.pin(head, self.head.public_host_key)
        self.keystore.pin(worker, self.worker.public_host_key)


@pytest.fixture
def dashboard():
    """The port of a scheduler that reports two workers."""

    def answer(path):
        return 200, json.dumps(COUNTS if "counts" in path else IDENTITY)

    with serving(answer) as url:
        yield int(url.rpartition(":")[2])


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """A folder that comes first in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{BIN}:{os.environ['PATH']}")
    return folder


@pytest.fixture(params=OPTIONS, ids=str)
def scene(request, tmp_path, monkeypatch, on_path, dashboard):
    keystore, pair = Keystore(tmp_path / "keystore", "launch1"), new_key("dask-bake dask")
    keystore.write(Keys(pair))
    with ExitStack() as stack:
        worker = stack.enter_context(SshServer("worker", pair.public).listening())
        routes = {("10.0.0.5", 22): ("127.0.0.1", worker.port), ("127.0.0.1", 8787): ("127.0.0.1", dashboard)}
        head = stack.enter_context(SshServer("head", pair.public, routes).listening())
        instances = tmp_path / "instances.json"
        instances.write_text(json.dumps({"i-0": ["127.0.0.1", head.port]}))
        monkeypatch.setenv("FAKE_AWS", str(instances))
        if request.param is Connect.BASTION:
            stack.enter_context(a_bastion(tmp_path, on_path, head))
        yield Scene(request.param, keystore, head, worker, instances)


@contextmanager
def a_bastion(folder, on_path, head):
    """A bastion in the user's ssh configuration: its name, port, key and host key."""
    mine = new_key("me")
    (folder / "mine").write_text(mine.private)
    (folder / "mine").chmod(0o600)
    routes = {("10.0.0.4", 22): ("127.0.0.1", head.port)}
    with SshServer("bastion", mine.public, routes).listening() as bastion:
        (folder / "known").write_text(f"jump {bastion.public_host_key}\n")
        (folder / "config").write_text(
            f"Host jump\n  HostName 127.0.0.1\n  Port {bastion.port}\n  User me\n  HostKeyAlias jump\n"
            f"  IdentityFile {folder}/mine\n  IdentityAgent none\n  UserKnownHostsFile {folder}/known\n"
            f"  LogLevel ERROR\n"
        )
        # ssh finds the user's home in the password database, so the test names its own files.
        users = on_path / "ssh"
        users.write_text(
            f'#!/bin/sh\n[ "$1" = -F ] && exec {REAL_SSH} "$@"\nexec {REAL_SSH} -F {folder}/config "$@"\n'
        )
        users.chmod(0o755)
        yield bastion


def test_a_command_runs_on_the_head_and_on_a_worker_behind_it(scene):
    scene.pin_all()

    done = [scene.run("hostname", index=index) for index in (0, 1)]

    assert [(each.returncode, each.stdout) for each in done] == [(0, "head\n"), (0, "worker\n")], done
    assert (scene.head.commands, scene.worker.commands) == (["hostname"], ["hostname"])


def test_a_wrong_host_key_is_refused(scene):
    """A transport must not be able to answer in the node's place."""
    scene.keystore.pin(scene.cluster.nodes[0], scene.worker.public_host_key)

    done = scene.run("hostname")

    assert (done.returncode, done.stdout) == (255, "")
    assert "Host key verification failed" in done.stderr
    assert scene.head.commands == []


def test_a_missing_host_key_is_refused(scene):
    """There is no trust on first use."""
    done = scene.run("hostname")

    assert (done.returncode, done.stdout, scene.head.commands) == (255, "", [])
    assert "Host key verification failed" in done.stderr


def test_a_wrong_host_key_of_a_worker_is_refused_though_the_head_s_is_right(scene):
    head, worker, _ = scene.cluster.nodes
    scene.keystore.pin(head, scene.head.public_host_key)
    scene.keystore.pin(worker, HOST_KEY)

    done = scene.run("hostname", index=1)

    assert (done.returncode, done.stdout, scene.worker.commands) == (255, "", [])


def test_the_scheduler_is_queried_through_the_tunnel(scene):
    scene.pin_all()
    connection = SshHeadConnection(scene.keystore, transport=scene.transport)
    try:
        registered = wait_for(lambda: connection.registered(scene.cluster.nodes[0]))
    finally:
        connection.close()

    assert registered == {"10.0.0.5": 1, "10.0.0.6": 1}
    assert set(scene.head.requested_transport) == {("127.0.0.1", 8787)}


def test_a_tunnel_with_a_wrong_host_key_never_opens_and_reports_why(scene):
    scene.keystore.pin(scene.cluster.nodes[0], scene.worker.public_host_key)

    with Tunnel(scene.node_host(), [Forward(free_port(), 8787)]) as tunnel:
        trouble = wait_for(lambda: tunnel.advance() or tunnel.trouble)

    assert trouble == "Host key verification failed."
    assert scene.head.requested_transport == []


def test_an_unreachable_bastion_is_reported(tmp_path):
    keystore = Keystore(tmp_path / "keystore", "launch1")
    cluster, nobody = a_cluster(), f"me@127.0.0.1:{free_port()}"
    reached = host(cluster, cluster.nodes[0], keystore, Transport(Connect.BASTION, nobody))

    with Tunnel(reached, [Forward(free_port(), 8787)]) as tunnel:
        trouble = wait_for(lambda: tunnel.advance() or tunnel.trouble)

    assert "Connection refused" in trouble


@pytest.mark.parametrize("scene", [Connect.SSM, Connect.EICE], ids=str, indirect=True)
def test_the_aws_cli_s_error_is_reported_and_it_is_not_restarted_at_once(scene):
    """Each start sends a request to AWS."""
    scene.map.write_text(json.dumps({"i-0": "An error occurred (AccessDenied): you may not"}))
    log, now = scene.map.with_suffix(".log"), [0.0]

    def started():
        return len(log.read_text().splitlines())

    with Tunnel(scene.node_host(), [Forward(free_port(), 8787)], clock=lambda: now[0]) as tunnel:
        trouble = wait_for(lambda: tunnel.advance() or tunnel.trouble)
        assert (tunnel.advance(), tunnel.advance(), started()) == (False, False, 1)
        now[0] = 1.5
        tunnel.advance()
        wait_for(lambda: started() == 2)

    assert trouble == "An error occurred (AccessDenied): you may not"


@pytest.mark.parametrize("scene", [Connect.EICE], ids=str, indirect=True)
def test_browsers_need_the_token_of_the_page_that_ui_opens(scene, tmp_path, monkeypatch, capsys):
    """`dask-bake connect` and `ui`, from the cluster's tags to the head's dashboard."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scene.pin_all()
    shutil.copytree(scene.keystore.folder, local_keystore(scene.cluster, CLOUD).folder)
    ec2 = FakeCloud(instances=list(scene.cluster.nodes), security_groups=list(scene.cluster.groups))
    seen = []

    def open_page(page):
        address = re.search('url=([^"]+)', Path(page.removeprefix("file://")).read_text())[1]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with pytest.raises(urllib.error.HTTPError, match="403"):
            browser.open(address.partition("?")[0])
        for each in (address, address.partition("?")[0]):
            with browser.open(each) as answer:
                seen.append(json.load(answer))
        raise KeyboardInterrupt

    code = connect.connect(
        CLOUD, ec2, Terminal(), name="dask", json_output=True, page="dashboard", open_page=open_page
    )

    assert (code, seen) == (0, [IDENTITY, IDENTITY])
    shown = json.loads(capsys.readouterr().out)
    socket = Path(shown["scheduler"].removeprefix("dask-bake://"))
    assert (socket.is_absolute(), socket.parent.exists()) == (True, False)
    assert shown["jupyter"].endswith("/lab?token=head")


def test_the_installed_programs_pass_the_checks(scene):
    check_programs(scene.kind)
    check_version(scene.kind)


def wait_for(ask):
    """Return the answer as soon as it is true; fail after 20 seconds."""
    return until(ask, timeout=60)


@pytest.mark.parametrize("has_dask", [True, False])
def test_a_head_reports_its_shutdown_timers_also_without_workers(scene, has_dask, tmp_path, monkeypatch):
    monkeypatch.setitem(COUNTS, "workers", 0)
    monkeypatch.setitem(IDENTITY, "workers", {})
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if not has_dask:
        # Without Dask nothing listens on the dashboard's port, and the query must not wait.
        del scene.head.routes[("127.0.0.1", 8787)]
    cluster = a_cluster(a_plan(connect=scene.kind, private=True, dask=has_dask, **OPTIONS[scene.kind]))
    scene.pin_all()
    shutil.copytree(scene.keystore.folder, local_keystore(cluster, CLOUD).folder)
    notes = []

    answer = query_head(cluster, CLOUD, FakeCloud(), notes.append)

    assert answer == ({} if has_dask else None, "head")
    assert scene.head.commands == ["cat /run/dask-bake/switches.json"]
    assert notes == []


@pytest.mark.parametrize("scene", [Connect.EICE], ids=str, indirect=True)
def test_a_scheduler_whose_answer_cannot_be_used_is_a_note_in_status(scene, tmp_path, monkeypatch):
    monkeypatch.setitem(IDENTITY, "workers", [])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    scene.pin_all()
    shutil.copytree(scene.keystore.folder, local_keystore(scene.cluster, CLOUD).folder)
    notes = []

    answer = query_head(scene.cluster, CLOUD, FakeCloud(), notes.append)

    assert answer == (None, "head")
    expected = "The scheduler's answer to /json/identity.json cannot be used: it has no workers."
    assert [note.text for note in notes] == [expected]
