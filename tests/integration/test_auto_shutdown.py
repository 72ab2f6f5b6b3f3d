"""Auto-shutdown on nodes with limits of seconds, and nodes that fail at boot."""

import re
import time
from dataclasses import dataclass

import pytest

from base_release import NETWORK_STAGE
from local_cloud import COMMAND_TIMEOUT
from local_cluster import AS_USER, PYTHON, STATE, started
from polling import until

CLIENT = "import time; from distributed import Client; client = Client(); time.sleep(600)"
TASK = """
import time
from distributed import Client, fire_and_forget
client = Client()
fire_and_forget(client.submit(time.sleep, 20))
client.close()
"""
A_USER_S = (*AS_USER, "--unit=guest", *PYTHON)


# ---- shutdown


@pytest.fixture
def idle(cloud, image):
    """A head and a worker with an idle time-out of 15 seconds, checked every second."""
    for nodes in started(cloud, image, "idle", "--count", "2", "--max-lifetime", "0"):
        nodes.tune(1, pause=1)
        nodes.tune(0, pause=1, idle=15)
        yield nodes


def test_an_idle_cluster_ends_and_sessions_clients_and_tasks_keep_it(cloud, idle, fault_row):
    """A session, a client, a task of a client that has gone; then nothing, a warning, and the end."""
    assert idle.run(0, "sh", "-c", f"sleep 2; cat {STATE}").count('"an SSH session is open"') > 0
    idle.run(0, *A_USER_S, CLIENT)
    until(lambda: idle.switch("idle")["held"] == "a client is connected", timeout=20)
    idle.run(0, "sudo", "systemctl", "stop", "guest")
    idle.run(0, "python", "-", text=TASK)
    until(lambda: idle.switch("idle")["held"] == "a task is running", timeout=20)
    begin = time.monotonic()
    shown = cloud.run("status", "idle")
    with fault_row(
        "On a node",
        "nobody is connected to a cluster, and its last task ends (`idle` limit 15 s)",
        "after a warning, the head tells its workers, and all nodes power off",
        left="the security groups",
    ):
        until(lambda: idle.live() == [], timeout=60)

    assert time.monotonic() - begin > 30  # the task's 20 seconds, without a session, and 15 without anybody
    assert "It is in use: a task is running." in shown
    reason = "no client, task or session for 15 s"
    warning = "DASK-BAKE-WARNING idle: this cluster ends in "
    warned = [line for line in idle.console_lines(0) if line.startswith(warning)]
    assert warned
    assert warned[-1].endswith("To postpone it: dask-bake extend idle")
    assert idle.console_lines(0)[-1] == f"DASK-BAKE-END idle: {reason}"
    assert idle.console_lines(1)[-1] == f"DASK-BAKE-END over: the head has ended the cluster: {reason}"


# ---- against a cluster's end

BOOT = "/proc/sys/kernel/random/boot_id"
WATCH = "dask-bake-watch.service"
PULSE = "/run/dask-scheduler/pulse.json"


@pytest.fixture(scope="module")
def lasting(cloud, image):
    """A head and a worker with a lifetime of two hours; the tests run in order."""
    yield from started(cloud, image, "lasting", "--count", "2", "--max-lifetime", "2h", "--idle-timeout", "0")


def answer(cluster, *words):
    """Return the output of a command on the head, which may be about to reboot."""
    done = cluster.nodes.attempt("0", *words)
    return done.stdout if done.returncode == 0 else ""


def reboots_of(cloud, cluster):
    yield lambda: cloud.ec2().reboot_instances(InstanceIds=cluster.ids[:1])
    yield lambda: cluster.nodes.attempt("0", "sudo", "systemctl", "reboot")


@pytest.mark.slow
def test_a_rebooted_head_is_back_with_its_workers_and_its_lifetime_goes_on(cloud, lasting):
    """By EC2 and from within; what was granted by ``extend`` stays."""
    cloud.run("extend", "lasting", "--by", "10s")
    for reboot in reboots_of(cloud, lasting):
        boot, before = lasting.run(0, "cat", BOOT), lasting.switch("lifetime")
        reboot()
        until(lambda boot=boot: answer(lasting, "cat", BOOT) not in ("", boot), timeout=120)
        until(lambda: answer(lasting, "cat", STATE), timeout=60)

        after = lasting.switch("lifetime")
        assert after["limit"] == before["limit"] == 7210
        assert after["left"] < before["left"]
    assert lasting.live() == lasting.ids
    until(lambda: cloud.json("status", "lasting")["workers"] == 1, timeout=120)


@pytest.mark.slow
def test_a_fifo_in_place_of_the_pulse_does_not_stop_the_watch(lasting):
    stops = "systemctl kill --signal=STOP dask-scheduler.service"
    puts = f"runuser -u dask -- sh -c 'rm {PULSE}; mkfifo {PULSE}'"
    lasting.run(0, "sudo", "sh", "-c", f"{stops}; {puts}")
    lasting.tune(0, pause=1)
    watch = lasting.main_process(0, WATCH)
    until(lambda: answer(lasting, "cat", STATE), timeout=30)
    before = lasting.switch("lifetime")["left"]

    until(lambda: lasting.switch("lifetime")["left"] < before - 3, timeout=30)
    assert lasting.main_process(0, WATCH) == watch


@pytest.mark.slow
def test_a_stopped_watch_is_replaced_and_without_one_the_lifetime_still_ends(lasting):
    drop_in = f"/run/systemd/system/{WATCH}.d"
    lasting.run(
        0,
        "sudo",
        "sh",
        "-c",
        f"mkdir {drop_in}; printf '[Service]\\nWatchdogSec=5\\n' >{drop_in}/test.conf;"
        f" systemctl daemon-reload; systemctl restart {WATCH}",
    )
    watch = lasting.main_process(0, WATCH)
    lasting.run(0, "sudo", "kill", "-STOP", str(watch))
    until(lambda: lasting.main_process(0, WATCH) not in (0, watch), timeout=60)

    lasting.tune(1, pause=1, lost=5)
    limits = "DASK_BAKE_LIFETIME=1\nDASK_BAKE_GRACE=0\n"
    lasting.run(
        0, "sudo", "sh", "-c", f"systemctl stop {WATCH}; cat >>/etc/dask-bake/limits.env", text=limits
    )
    until(lambda: lasting.live() == [], timeout=180)

    ended = "DASK-BAKE-END lifetime: it is over, and dask-bake-watch has not ended this node"
    assert ended in lasting.console_lines(0)


# ---- failures at boot


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """User-data that makes a stage of cloud-init fail."""
    path = tmp_path_factory.mktemp("failing") / "extra.yaml"
    path.write_text("#cloud-config\nbootcmd: [[/bin/false]]\n")
    return str(path)


@dataclass(frozen=True)
class Launch:
    """The result of a launch, and its seconds."""

    code: int
    stderr: str
    seconds: float


FAULTS = {
    "failing": (),
    "untold": ("error", "--status", "404", "--times", "0"),
    "refused": ("error", "--status", "401", "--times", "0"),
    "slow": ("delay", "--seconds", "0.5", "--times", "0"),
    "late": ("error", "--status", "404"),
    "unready": ("error", "--status", "401"),
}
"""Fault rules for the metadata requests, or the first one, of each node of these clusters."""


@pytest.fixture(scope="module")
def boots(cloud, image, failing):
    """Concurrent launches whose nodes meet faults at boot, by cluster name."""
    begin, ended = time.monotonic(), {}
    for name, fault in FAULTS.items():
        for role in ("head", "worker") if fault else ():
            where = (f"Tag.dask-bake:cluster={name}", f"Tag.dask-bake:role={role}")
            words = [word for condition in where for word in ("--where", condition)]
            cloud.fault(*fault, "--action", "Metadata", *words)
    words = ("launch", "--ami", image, "--count", "2", "--name")
    begun = {
        name: cloud.start(*words, name, *(("--user-data", failing) if name == "failing" else ()))
        for name in FAULTS
    }
    while begun:
        assert time.monotonic() - begin < COMMAND_TIMEOUT, f"these launches do not end: {sorted(begun)}"
        for name in [name for name, process in begun.items() if process.poll() is not None]:
            process = begun.pop(name)
            _, stderr = process.communicate()
            ended[name] = Launch(process.returncode, stderr, time.monotonic() - begin)
        time.sleep(0.05)
    cloud.clear_faults()
    ending = [cloud.start("down", name) for name, launch in ended.items() if launch.code == 0]
    for process in ending:
        process.communicate(timeout=120)
    return ended


@pytest.mark.slow
def test_a_node_that_cannot_be_configured_reports_it_and_ends_itself(cloud, boots, fault_row):
    """So the launch fails long before its deadline, with the node's message."""
    with fault_row(
        "At boot",
        "a stage of cloud-init fails, for example a command of `--user-data`",
        "the node prints the reason on its console and powers off; the launch fails with that reason, exit"
        " code 1",
        left="nothing",
    ) as row:
        row.seconds = boots["failing"].seconds
        assert boots["failing"].code == 1, boots["failing"].stderr
        assert "DASK-BAKE-FAILED init: " in boots["failing"].stderr
    assert "dask-bake-failing" not in cloud.groups()


SILENCE = 'DASK-BAKE-FAILED init: "the metadata service does not answer"'


@pytest.mark.slow
def test_a_node_without_user_data_reports_it_and_ends_itself(boots, fault_row):
    """It has neither key nor role, so no connection to it is possible."""
    with fault_row(
        "At boot",
        "the metadata service answers every request of a node with 404",
        "the node prints the reason on its console and powers off; the launch fails with that reason, exit"
        " code 1",
        left="nothing",
    ) as row:
        row.seconds = boots["untold"].seconds
        assert boots["untold"].code == 1, boots["untold"].stderr
        assert SILENCE in boots["untold"].stderr


@pytest.mark.slow
def test_a_node_refused_by_the_metadata_service_reports_it_and_ends_itself(boots, fault_row):
    with fault_row(
        "At boot",
        "the metadata service answers every request of a node with 401",
        "the node prints the reason on its console and powers off; the launch fails with that reason, exit"
        " code 1",
        left="nothing",
    ) as row:
        row.seconds = boots["refused"].seconds
        assert boots["refused"].code == 1, boots["refused"].stderr
        assert SILENCE in boots["refused"].stderr


@pytest.mark.slow
def test_a_node_with_a_slow_metadata_service_boots(boots, fault_row):
    with fault_row(
        "At boot",
        "the metadata service takes half a second for each response",
        "the node boots, more slowly",
        left="everything",
    ) as row:
        row.seconds = boots["slow"].seconds
        assert boots["slow"].code == 0, boots["slow"].stderr


@pytest.mark.parametrize("name", ["late", "unready"])
@pytest.mark.slow
def test_a_node_refused_once_by_the_metadata_service_boots(boots, fault_row, name):
    fault = {
        "late": "the metadata service answers a node's first request with 404",
        "unready": "the metadata service answers a node's first request with 401",
    }[name]
    with fault_row(
        "At boot",
        fault,
        "the next stage of cloud-init repeats the request, and the node boots",
        left="everything",
    ) as row:
        row.seconds = boots[name].seconds
        assert boots[name].code == 0, boots[name].stderr


@pytest.fixture(scope="module")
def kept(cloud, image, failing):
    """A head and a worker that failed to be configured and are kept for an hour."""
    words = ("--count", "2", "--user-data", failing, "--keep-on-failure", "--max-lifetime", "1h")
    yield from started(cloud, image, "kept", *words)


@pytest.mark.slow
def test_keep_on_failure_keeps_a_node_that_fails(kept, fault_row):
    with fault_row(
        "At boot",
        "a stage of cloud-init fails, with `--keep-on-failure`",
        "the node prints the reason on its console and runs until its lifetime ends",
        left="everything, for examination",
    ):
        until(lambda: kept.console_lines(0), timeout=30)

    assert kept.console_lines(0)[0].startswith("DASK-BAKE-FAILED init: ")
    assert kept.run(0, "sh", "-c", f"systemctl is-failed {NETWORK_STAGE}") == "failed\n"
    assert kept.live() == kept.ids


@pytest.mark.slow
def test_a_kept_node_without_limits_still_ends_after_its_lifetime(kept):
    """As when cloud-init hung before it had written the limits."""
    limits, aside = "/etc/dask-bake/limits.env", "/root/limits.env"
    fails = f"mv {limits} {aside}; /usr/libexec/dask-bake/failed {NETWORK_STAGE}; mv {aside} {limits}"
    kept.run(1, "sudo", "sh", "-c", fails)

    timers = kept.run(1, "systemctl", "list-timers", "--no-legend", "run-*").splitlines()
    assert len(timers) == 1
    unit = timers[0].split()[-1]
    assert "poweroff" in kept.run(1, "systemctl", "show", "--property", "ExecStart", unit)
    assert kept.live() == kept.ids


@pytest.mark.slow
def test_a_cluster_in_use_ends_after_its_lifetime_and_extend_postpones_it(cloud, kept, fault_row):
    launched = kept.switch("lifetime")["limit"]
    kept.run(0, *A_USER_S, CLIENT)
    kept.tune(1, pause=1)
    kept.tune(0, pause=1, lifetime=10)
    extended = cloud.json("extend", "kept", "--by", "10s")["switches"]
    begin = time.monotonic()
    shown = cloud.run("status", "kept")
    with fault_row(
        "On a node",
        "the lifetime of a cluster ends while a client is connected (limit 20 s)",
        "the head tells its workers, and all nodes power off",
        left="the security groups",
    ):
        until(lambda: kept.live() == [], timeout=60)

    lifetime = next(one for one in extended if one["name"] == "lifetime")
    assert (launched, lifetime["limit"]) == (3600, 20)
    assert re.search(r"It shuts down in \d+ s at the latest\.\nIt is in use: a client is connected\.", shown)
    assert time.monotonic() - begin > lifetime["left"] - 2
    assert kept.console_lines(0)[-1] == "DASK-BAKE-END lifetime: its lifetime of 20 s is over"
    assert (
        kept.console_lines(1)[-1]
        == "DASK-BAKE-END over: the head has ended the cluster: its lifetime of 20 s is over"
    )
