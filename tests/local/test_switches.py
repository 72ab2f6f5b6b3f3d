"""On real nodes, with limits of seconds: what ends them by itself, what keeps them, and what mends itself."""

import json
import re
import time
from dataclasses import dataclass
from typing import Any

import pytest

from local_cloud import LocalCloud, until

STATE = "/run/dask-bake/switches.json"
AS_USER = ("sudo", "systemd-run", "--quiet", "--unit=guest", "--uid=admin", "/opt/dask/bin/python", "-c")
"""Something of a user's that goes on without an SSH session."""
CLIENT = "import time; from distributed import Client; client = Client(); time.sleep(600)"
TASK = """
import time
from distributed import Client, fire_and_forget
client = Client()
fire_and_forget(client.submit(time.sleep, 20))
client.close()
"""


@dataclass(frozen=True)
class Nodes:
    """A cluster's nodes, by ssh; and what EC2 says of them."""

    cloud: LocalCloud
    launched: dict[str, Any]

    @property
    def name(self) -> str:
        """What the cluster is called."""
        return self.launched["name"]

    @property
    def ids(self) -> list[str]:
        """The instances, the head's first."""
        return [node["id"] for node in self.launched["nodes"]]

    def run(self, node: int, *words: str, text: str = "") -> str:
        """What a command printed on a node."""
        return self.cloud.run("ssh", "--name", self.name, str(node), "--", *words, text=text)

    def tune(self, node: int, **limits: float) -> None:
        """Sets limits of a node's watch, which begins anew with them."""
        lines = "".join(f"DASK_BAKE_{name.upper()}={value}\n" for name, value in limits.items())
        script = f"cat >>/etc/dask-bake/limits.env; rm -f {STATE}; systemctl restart dask-bake-watch"
        self.run(node, "sudo", "sh", "-c", script, text=lines)

    def switch(self, name: str) -> dict[str, Any]:
        """A switch, as the head's watch has written it."""
        told = json.loads(self.run(0, "cat", STATE))
        return next(one for one in told["switches"] if one["name"] == name)

    def compute(self, code: str) -> Any:
        """What code on the head printed as JSON that has a `client`."""
        begin = "import json, os\nfrom distributed import Client\nclient = Client(timeout=30)\n"
        return json.loads(self.run(0, "python", "-", text=begin + code))

    def live(self) -> list[str]:
        """Those of its instances that have not ended."""
        return [name for name in self.ids if name in self.cloud.live_instances()]

    def said(self, node: int) -> list[str]:
        """What of ours is on a node's console, whether it still runs or not."""
        output = self.cloud.ec2().get_console_output(InstanceId=self.ids[node]).get("Output", "")
        return [line.strip() for line in output.splitlines() if line.startswith("DASK-BAKE-")]


def started(cloud, image, name, *words):
    """The nodes of a cluster of that name, taken down afterwards."""
    launched = cloud.json("launch", "--name", name, "--ami", image, *words)
    nodes = Nodes(cloud, launched)
    yield nodes
    cloud.run("down", name)


# ---- what ends a cluster


@pytest.fixture
def idle(cloud, image):
    """A head and a worker that end after 15 seconds without anybody, and look every second."""
    for nodes in started(cloud, image, "idle", "--count", "2", "--max-lifetime", "0"):
        nodes.tune(1, pause=1)
        nodes.tune(0, pause=1, idle=15)
        yield nodes


def test_a_cluster_ends_when_nobody_is_there_and_whoever_is_there_keeps_it(cloud, idle):
    """A session, a client, a task whose client has gone; then nobody, a warning, and the end."""
    assert idle.run(0, "sh", "-c", f"sleep 2; cat {STATE}").count('"an SSH session is open"') > 0
    idle.run(0, *AS_USER, CLIENT)
    until(lambda: idle.switch("idle")["held"] == "a client is connected", timeout=20)
    idle.run(0, "sudo", "systemctl", "stop", "guest")
    idle.run(0, "python", "-", text=TASK)
    until(lambda: idle.switch("idle")["held"] == "a task is running", timeout=20)
    begin = time.monotonic()
    shown = cloud.run("status", "idle")
    until(lambda: idle.live() == [], timeout=60)

    assert time.monotonic() - begin > 30  # the task's 20 seconds, without a session, and 15 without anybody
    assert "It is in use: a task is running." in shown
    reason = "for 15 s nobody is connected and nothing runs"
    warned = [
        line for line in idle.said(0) if line.startswith("DASK-BAKE-WARNING idle: this cluster ends in ")
    ]
    assert warned
    assert warned[-1].endswith("dask-bake extend idle puts it off")
    assert idle.said(0)[-1] == f"DASK-BAKE-END idle: {reason}"
    assert idle.said(1)[-1] == f"DASK-BAKE-END over: the head has ended it: {reason}"


# ---- what mends itself, then what takes nodes away, one after another


@pytest.fixture(scope="module")
def spot(cloud, image):
    """A head, and two workers of two processes on spot instances."""
    words = ("--count", "3", "--nprocs", "2", "--nthreads", "1", "--spot")
    for nodes in started(cloud, image, "spot", *words):
        nodes.tune(0, pause=1, hung=3)
        yield nodes


PROCESSES = """
info = client.scheduler_info(n_workers=-1)["workers"]
host = {address: worker["host"] for address, worker in info.items()}
found = {}
for address, pid in client.run(os.getpid).items():
    found.setdefault(host[address], []).append(pid)
print(json.dumps(found))
"""


def processes(nodes, node):
    """The worker processes of a node that have registered."""
    address = nodes.launched["nodes"][node]["private_address"]
    return set(nodes.compute(PROCESSES).get(address, ()))


def worker_count(nodes):
    """How many worker processes have registered."""
    return nodes.cloud.json("status", nodes.name)["workers"]


def test_a_worker_process_that_is_killed_is_replaced_and_the_other_goes_on(spot):
    """As the kernel does when memory runs out."""
    killed, other = processes(spot, 1)
    spot.run(1, "sudo", "kill", "-KILL", str(killed))

    until(lambda: len(now := processes(spot, 1)) == 2 and killed not in now, timeout=30)
    assert other in processes(spot, 1)


def main_process(nodes, node, unit):
    """The unit's main process."""
    return int(nodes.run(node, "systemctl", "show", "--property=MainPID", "--value", unit))


def test_a_nanny_that_is_killed_comes_again_with_its_workers(spot):
    before = processes(spot, 2)
    spot.run(2, "sudo", "kill", "-KILL", str(main_process(spot, 2, "dask-worker")))

    until(lambda: len(now := processes(spot, 2)) == 2 and not before & now, timeout=30)


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_scheduler_that_dies_or_hangs_is_started_again_and_the_workers_come_back(spot, signal):
    before = main_process(spot, 0, "dask-scheduler")
    spot.run(0, "sudo", "kill", f"-{signal}", str(before))

    until(lambda: main_process(spot, 0, "dask-scheduler") not in (0, before), timeout=30)
    until(lambda: worker_count(spot) == 4, timeout=30)
    assert spot.compute("print(json.dumps(client.submit(sum, range(100)).result()))") == 4950


def test_a_node_whose_disk_is_full_is_reached_and_goes_on(spot):
    folder = "/var/lib/dask"
    spot.run(2, "sudo", "mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", folder)
    filled = spot.run(2, "sudo", "-u", "dask", "sh", "-c", f"cat /dev/zero >{folder}/full || df {folder}")
    counted = spot.compute("print(json.dumps(sorted(client.run(sum, [1, 2]).values())))")
    spot.run(2, "sudo", "umount", "--lazy", folder)

    assert "100%" in filled
    assert counted == [3] * 4


KEEP = """
address = next(a for a, w in client.scheduler_info(n_workers=-1)["workers"].items() if w["host"] == HOST)
kept = client.scatter([b"x" * 20_000_000], workers=[address])
client.publish_dataset(kept=kept)
print(json.dumps([client.who_has(kept)[kept[0].key] == (address,)]))
"""
HAVE = """
kept = client.get_dataset("kept")
hosts = sorted({w["host"] for w in client.scheduler_info(n_workers=-1)["workers"].values()})
print(json.dumps([len(client.gather(kept)[0]), hosts]))
"""


def test_a_worker_that_ec2_takes_back_hands_on_its_data_and_leaves(cloud, spot):
    """Within seconds of the notice; nothing starts it again, and then EC2 ends it."""
    gone, stays = (spot.launched["nodes"][node]["private_address"] for node in (1, 2))
    assert spot.compute(f"HOST = {gone!r}" + KEEP) == [True]
    cloud.fault("spot-notice", "--instance", spot.ids[1], "--notice", "25")
    begin = time.monotonic()

    until(lambda: spot.compute(HAVE) == [20_000_000, [stays]], timeout=19)
    seconds = time.monotonic() - begin
    ask = ("ssh", "--name", "spot", "1", "--", "systemctl", "is-active", "dask-worker")
    until(lambda: cloud.attempt(*ask).stdout == "inactive\n", timeout=15)
    until(lambda: spot.ids[1] not in cloud.live_instances(), timeout=60)
    assert spot.compute(HAVE) == [20_000_000, [stays]]
    assert seconds < 15
    assert any(line.startswith("DASK-BAKE-WARNING spot: ") for line in spot.said(1))


def test_a_worker_ends_when_it_has_lost_its_head(cloud, spot):
    """The head's machine is gone, without a word."""
    spot.tune(2, pause=1, lost=5)
    cloud.fault("terminated", "--instance", spot.ids[0])

    until(lambda: spot.live() == [], timeout=90)
    assert spot.said(2)[-1] == "DASK-BAKE-END lost: for 5 s the head is lost"


# ---- what fails at boot


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """User-data with which a stage of cloud-init fails."""
    path = tmp_path_factory.mktemp("failing") / "extra.yaml"
    path.write_text("#cloud-config\nbootcmd: [[/bin/false]]\n")
    return str(path)


@pytest.fixture(scope="module")
def kept(cloud, image, failing):
    """A head and a worker that could not be configured, and stay; for an hour."""
    words = ("--count", "2", "--user-data", failing, "--keep-on-failure", "--max-lifetime", "1h")
    yield from started(cloud, image, "kept", *words)


def test_a_node_that_cannot_be_configured_says_so_and_ends_itself(cloud, image, failing):
    """So the launch fails long before its deadline, with the node's own words."""
    done = cloud.attempt(
        "launch", "--name", "failing", "--ami", image, "--count", "2", "--user-data", failing
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "DASK-BAKE-FAILED init: " in done.stderr
    assert "dask-bake-failing" not in cloud.groups()


def test_a_node_that_is_told_nothing_says_so_and_ends_itself(cloud, image):
    """Its metadata service does not answer, so it knows neither key nor role: nobody could enter it."""
    cloud.fault("unhealthy", "--times", "0")
    done = cloud.attempt("launch", "--name", "untold", "--ami", image, "--count", "2")
    cloud.clear_faults()

    assert done.returncode == 1, done.stdout + done.stderr
    assert 'DASK-BAKE-FAILED init: "the metadata service does not answer"' in done.stderr


def test_a_node_that_fails_stays_if_it_is_asked_to(kept):
    until(lambda: kept.said(0), timeout=30)

    assert kept.said(0)[0].startswith("DASK-BAKE-FAILED init: ")
    assert kept.run(0, "sh", "-c", "systemctl is-failed cloud-init") == "failed\n"
    assert kept.live() == kept.ids


def test_a_cluster_ends_with_its_lifetime_however_it_is_used_and_extend_puts_it_off(cloud, kept):
    launched = kept.switch("lifetime")["limit"]
    kept.run(0, *AS_USER, CLIENT)
    kept.tune(1, pause=1)
    kept.tune(0, pause=1, lifetime=10)
    extended = cloud.json("extend", "kept", "--by", "10s")["switches"]
    begin = time.monotonic()
    shown = cloud.run("status", "kept")
    until(lambda: kept.live() == [], timeout=60)

    lifetime = next(one for one in extended if one["name"] == "lifetime")
    assert (launched, lifetime["limit"]) == (3600, 20)
    assert re.search(r"It ends itself in \d+ s at the latest\.\nIt is in use: a client is connected\.", shown)
    assert time.monotonic() - begin > lifetime["left"] - 2
    assert kept.said(0)[-1] == "DASK-BAKE-END lifetime: its lifetime of 20 s is over"
    assert kept.said(1)[-1] == "DASK-BAKE-END over: the head has ended it: its lifetime of 20 s is over"
