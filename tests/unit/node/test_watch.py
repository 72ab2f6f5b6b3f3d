"""The watch of one node: what it writes, announces and runs."""

import json
import os
import socket
import threading

import pytest

import watch_facts
import watch_rules
from node_programs import FakeCommands, load

POWER_OFF = ["systemctl poweroff", "systemctl poweroff --force", "systemctl poweroff -ff"]


class Clock:
    """Time on a node; a millisecond passes at each look at it."""

    def __init__(self):
        self._now = 1000.0
        self.ahead = 1.8e9
        """Seconds by which the wall clock is ahead."""

    def monotonic(self):
        self._now += 0.001
        return self._now

    def time(self):
        return self.monotonic() + self.ahead

    def sleep(self, seconds):
        self._now += seconds


class Node:
    """The watch's files in a folder, the commands that it runs, and what it announces."""

    def __init__(self, monkeypatch, folder, capsys):
        for name in ("STATE", "EXTENSIONS", "DRAINING", "PULSE", "CONSOLE", "BOOT"):
            monkeypatch.setattr(watch_facts, name, str(folder / name.lower()))
        monkeypatch.setattr(watch_facts, "FOLDER", str(folder))
        monkeypatch.setattr(watch_facts, "LIFETIME", str(folder / "disk" / "lifetime"))
        (folder / "boot").write_text("first\n")
        monkeypatch.setattr(watch_facts, "JUPYTER", str(folder))
        monkeypatch.setattr(watch_facts, "has_session", lambda: False)
        self.program, self.clock = load("watch"), Clock()
        monkeypatch.setattr(self.program, "time", self.clock)
        self._commands = FakeCommands(folder, "systemctl", "wall")
        monkeypatch.setenv("PATH", str(self._commands.path))
        self.folder, self._capsys = folder, capsys

    def watch(self, role="head", **limits):
        given = {"role": role, "cluster": "taxi", "head": "127.0.0.1", "pause": 0.0, **limits}
        return self.program.Watch(watch_rules.Limits(**given))

    def reboot(self, passed=0.0):
        """Remove what is not on disk, and let the clocks go on."""
        for name in ("state", "extensions", "pulse"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "boot").write_text("second\n")
        self.clock.ahead += passed

    def pulse(self, *, age=0.0, clients=0, running=False, pid=1):
        at = self.clock.monotonic() - age
        pulse = {"at": at, "pid": pid, "clients": clients, "running": running}
        (self.folder / "pulse").write_text(json.dumps(pulse))

    @property
    def state(self):
        return json.loads((self.folder / "state").read_text())

    @property
    def announced(self):
        """The lines since the last time; each goes to the journal, the console and all terminals."""
        return self._capsys.readouterr().out.splitlines()

    @property
    def commands(self):
        return [line for line in self._commands.lines if not line.startswith("wall ")]

    @property
    def on_terminals(self):
        return [line.removeprefix("wall ") for line in self._commands.lines if line.startswith("wall ")]


@pytest.fixture
def node(monkeypatch, tmp_path, capsys):
    node = Node(monkeypatch, tmp_path, capsys)
    yield node
    node.program.ClusterStatusHandler.over = ""
    node.program.ClusterStatusHandler.extended = 0.0


def test_a_head_in_use_writes_its_state_and_does_nothing(node):
    node.pulse(clients=2)
    node.watch().look()

    held = {one["name"]: one["held"] for one in node.state["switches"]}
    assert held == {"lifetime": "", "idle": "2 clients are connected", "joining": ""}
    assert (node.announced, node.commands) == ([], [])


def test_a_due_head_says_why_tells_its_workers_and_powers_off_harder_and_harder(node):
    node.pulse()
    node.watch(idle=1e-9).look()

    line = "DASK-BAKE-END idle: no client, task or session for 0 s"
    assert (node.announced, node.on_terminals) == ([line], [line])
    assert (node.folder / "console").read_bytes().decode() == f"\r\n{line}\r\n"
    assert node.commands == POWER_OFF
    assert node.program.ClusterStatusHandler.over == (
        "the head has ended the cluster: no client, task or session for 0 s"
    )


def test_a_warning_is_announced_once(node):
    node.pulse()
    watch = node.watch(lifetime=0.0, idle=100.0)
    watch.look()
    assert node.announced == []
    watch._history = watch._history._replace(last_used=watch._history.last_used - 60)
    watch.look()
    watch.look()

    assert node.announced == [
        "DASK-BAKE-WARNING idle: this cluster ends in 40 s: no client, task or session for 100 s."
        " To postpone it: dask-bake extend taxi"
    ]


def test_an_extension_is_taken_into_account(node):
    node.pulse()
    (node.folder / "extensions").write_text(f"{node.clock.monotonic()} 600\n")
    node.watch(idle=1e-9).look()

    assert node.state["extended"] == 600.0
    assert {one["name"]: one["held"] for one in node.state["switches"]}["idle"] == "it was extended"
    assert node.commands == []


def test_a_restarted_watch_goes_on_with_its_timers(node):
    node.pulse()
    node.watch().look()
    past = node.state["past"]
    node.watch().look()

    assert node.state["past"][0] == past[0]


def lifetime(node):
    return next(one for one in node.state["switches"] if one["name"] == "lifetime")


def test_the_lifetime_goes_on_after_a_reboot_with_its_extensions(node):
    node.watch(lifetime=7200.0).look()
    (node.folder / "extensions").write_text(f"{node.clock.monotonic()} 600\n")
    watch = node.watch(lifetime=7200.0)
    watch.look()
    node.reboot(passed=3600.0)
    node.watch(lifetime=7200.0).look()

    assert (lifetime(node)["limit"], round(lifetime(node)["left"])) == (7800.0, 4200)
    assert node.state["extended"] == 600.0
    assert {one["name"]: one["held"] for one in node.state["switches"]}["idle"] == ""
    assert oct((node.folder / "disk").stat().st_mode)[-3:] == "700"


def test_an_extension_holds_the_idle_timer_after_a_reboot_until_its_end(node):
    (node.folder / "extensions").write_text(f"{node.clock.monotonic()} 7200\n")
    node.watch().look()
    node.reboot(passed=3600.0)
    node.watch().look()

    assert {one["name"]: one["held"] for one in node.state["switches"]}["idle"] == "it was extended"


def test_a_lifetime_that_ends_during_a_reboot_ends_the_node(node):
    node.watch(lifetime=600.0).look()
    node.reboot(passed=3600.0)
    node.watch(lifetime=600.0).look()

    assert node.commands == POWER_OFF


@pytest.mark.parametrize("text", ["", "first", "first 1 2", "first x 0 0", "first nan 0 0", "first 1 inf 0"])
def test_a_broken_record_is_no_record(node, text):
    (node.folder / "disk").mkdir()
    (node.folder / "disk" / "lifetime").write_text(text)
    node.watch(lifetime=600.0).look()

    assert lifetime(node)["left"] > 590
    assert watch_facts.read_record().boot == "first"


def test_a_pulse_that_is_a_fifo_or_a_folder_does_not_stop_the_timers(node):
    for put in (os.mkfifo, os.mkdir):
        put(node.folder / "pulse")
        node.watch(idle=1e-9).look()
        assert node.commands[-3:] == POWER_OFF
        (os.unlink if put is os.mkfifo else os.rmdir)(node.folder / "pulse")


def test_a_hung_scheduler_s_pulse_that_cannot_be_removed_is_left(node, monkeypatch):
    node.pulse(age=45.0, clients=1)
    monkeypatch.setattr(node.program.os, "unlink", os.rmdir)
    node.watch().look()

    assert (node.folder / "pulse").exists()


def test_each_look_is_reported_to_systemd(node, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        node.program.report_alive()
        assert systemd.recv(100) == b"WATCHDOG=1"
    node.program.report_alive()  # nobody listens any more
    monkeypatch.setenv("NOTIFY_SOCKET", "")
    node.program.report_alive()


def test_a_taken_port_does_not_stop_the_head_s_watch(node, monkeypatch):
    """A task may take it while the watch is restarted."""
    with socket.create_server(("0.0.0.0", 0)) as other:
        monkeypatch.setattr(watch_facts, "PORT", other.getsockname()[1])
        assert node.program.serve_status() is None
    server = node.program.serve_status()
    assert server is not None
    server.server_close()


def test_a_full_disk_does_not_stop_the_watch(node, monkeypatch):
    monkeypatch.setattr(watch_facts, "STATE", str(node.folder / "none" / "state"))
    node.pulse()
    node.watch(idle=1e-9).look()

    assert node.commands == POWER_OFF


def test_a_hung_scheduler_is_killed_and_its_pulse_forgotten(node):
    node.pulse(age=45.0, clients=1)
    node.watch().look()

    assert node.announced == ["DASK-BAKE-WARNING scheduler: no answer for 45 s; it is restarted"]
    assert node.commands == ["systemctl kill --signal=KILL dask-scheduler.service"]
    assert not (node.folder / "pulse").exists()


def test_a_scheduler_that_never_had_a_pulse_is_not_restarted(node):
    node.watch().look()

    assert (node.announced, node.commands) == ([], [])


def serve_status(node, monkeypatch):
    """Start the head's server of the cluster's status, on a free port."""
    server = node.program.ClusterStatusServer(("127.0.0.1", 0), node.program.ClusterStatusHandler)
    monkeypatch.setattr(watch_facts, "PORT", server.server_address[1])
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


def test_a_worker_follows_a_head_that_has_ended_the_cluster(node, monkeypatch):
    server = serve_status(node, monkeypatch)
    try:
        watch = node.watch("worker", has_dask=False)
        watch._is_spot = False
        watch.look()
        before = node.commands
        node.program.ClusterStatusHandler.over = "the head has ended the cluster: why"
        watch.look()
    finally:
        server.shutdown()
        server.server_close()

    assert before == []
    assert node.announced == ["DASK-BAKE-END over: the head has ended the cluster: why"]
    assert node.commands == POWER_OFF


def test_a_worker_records_the_extensions_of_its_head(node, monkeypatch):
    """For the guard of its lifetime; what it has heard stays when the head is gone, also after a reboot."""
    node.program.ClusterStatusHandler.extended = 600.0
    server = serve_status(node, monkeypatch)
    try:
        watch = node.watch("worker")
        watch._is_spot = False
        watch.look()
    finally:
        server.shutdown()
        server.server_close()
    watch.look()
    began = watch_facts.read_record().began
    node.reboot(passed=100.0)
    watch = node.watch("worker")
    watch._is_spot = False
    watch.look()

    record = watch_facts.read_record()
    assert (record.boot, record.extended, abs(record.began - began) < 5) == ("second", 600.0, True)
    assert not (node.folder / "extensions").exists()


def test_a_worker_that_disconnects_at_once_does_not_disturb_the_head(node, monkeypatch):
    server = serve_status(node, monkeypatch)
    try:
        for _ in range(3):
            socket.create_connection(("127.0.0.1", watch_facts.PORT)).close()
        assert watch_facts.cluster_status("127.0.0.1") == {"over": ""}
    finally:
        server.shutdown()
        server.server_close()


class FakeMetadata:
    """A metadata service of some values; a missing one is a service that does not answer."""

    def __init__(self, **values):
        self.values = values

    def get(self, path):
        return self.values.get(path.replace("-", "_").replace("/", "_"))


def spot_worker(node, metadata):
    watch = node.watch("worker", lost=0.0, joining=0.0)
    watch._metadata = metadata
    return watch


def test_a_spot_worker_that_ec2_reclaims_drains(node):
    metadata = FakeMetadata(instance_life_cycle="spot", spot_instance_action="")
    watch = spot_worker(node, metadata)
    watch.look()
    watch.look()
    assert not (node.folder / "draining").exists()
    metadata.values["spot_instance_action"] = '{"action": "terminate"}'
    watch.look()
    watch.look()

    assert (node.folder / "draining").read_text() == '{"action": "terminate"}'
    assert node.announced == [
        "DASK-BAKE-WARNING spot: EC2 reclaims this node; its data moves to other workers:"
        ' {"action": "terminate"}'
    ]


def test_an_on_demand_worker_does_not_ask_for_notices(node):
    metadata = FakeMetadata(instance_life_cycle="on-demand", spot_instance_action="never")
    watch = spot_worker(node, metadata)
    for _ in range(3):
        watch.look()

    assert not (node.folder / "draining").exists()


def test_the_life_cycle_is_asked_for_until_the_metadata_service_answers(node):
    metadata = FakeMetadata(spot_instance_action="notice")
    watch = spot_worker(node, metadata)
    watch.look()
    metadata.values["instance_life_cycle"] = "spot"
    watch.look()
    watch.look()

    assert (node.folder / "draining").read_text() == "notice"
