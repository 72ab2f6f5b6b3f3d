"""What ends a node by itself: decided from what is seen, with a warning before, for a reason that is said."""

import json
import os
import socket
import threading
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

LIBEXEC = Path(__file__).parents[3] / "packer/rootfs/usr/libexec/dask-bake"


def load(name):
    """A module of a node's programs."""
    spec = spec_from_file_location(name, LIBEXEC / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rules, facts, pulse = load("watch_rules"), load("watch_facts"), load("dask_bake_pulse")
HEAD = rules.Limits(role="head", cluster="taxi", lifetime=1000.0, idle=100.0, lost=60.0, joining=90.0)
WORKER = HEAD._replace(role="worker", head="10.0.0.4")


def lived(limits, *moments):
    """The switches after these moments, each a time and what is seen then."""
    past = None
    for now, seen in moments:
        seen = rules.Facts(now=float(now), **seen)
        past = past or rules.Past(began=seen.now, somebody=seen.now, touched=seen.now)
        past = rules.remember(past, seen)
    return rules.switches(limits, past, seen), seen


def ending(limits, *moments):
    """The name of what ends the node after these moments; None where nothing does."""
    found = rules.reason(*lived(limits, *moments))
    return found and found[0]


def every(pause, until, **seen):
    """The same to be seen again and again, from 0 on."""
    return [(now, seen) for now in range(0, until + 1, pause)]


ALIVE = {"is_connected": True}


def test_a_head_in_use_ends_with_its_lifetime_and_not_before():
    in_use = {**ALIVE, "clients": 1}

    assert ending(HEAD, *every(5, 995, **in_use)) is None
    assert ending(HEAD, *every(5, 1000, **in_use)) == "lifetime"


def test_a_lifetime_of_0_is_none():
    assert ending(HEAD._replace(lifetime=0.0), *every(5, 5000, clients=1, **ALIVE)) is None


def test_a_head_that_nobody_uses_ends_after_the_idle_time():
    assert ending(HEAD, *every(5, 95, **ALIVE)) is None
    assert ending(HEAD, *every(5, 100, **ALIVE)) == "idle"
    assert ending(HEAD._replace(idle=0.0), *every(5, 500, **ALIVE)) is None


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"clients": 1}, "a client is connected"),
        ({"clients": 3}, "3 clients are connected"),
        ({"has_session": True}, "an SSH session is open"),
        ({"is_running": True}, "a task is running"),
        ({"has_busy_kernel": True}, "a notebook is busy"),
    ],
)
def test_whoever_is_there_keeps_the_cluster_and_the_time_counts_from_when_he_has_gone(seen, said):
    switches, _ = lived(HEAD, *every(5, 500, **ALIVE, **seen))
    idle = next(one for one in switches if one.name == "idle")

    assert (idle.held, idle.is_due, idle.is_near) == (said, False, False)
    stayed = every(5, 500, **ALIVE, **seen)
    assert ending(HEAD, *stayed, (599, ALIVE)) is None
    assert ending(HEAD, *stayed, (600, ALIVE)) == "idle"


def test_without_dask_only_the_lifetime_counts_on_the_head():
    limits = HEAD._replace(has_dask=False)

    assert [one.name for one in lived(limits, *every(5, 500))[0]] == ["lifetime"]


def test_a_head_whose_scheduler_is_gone_ends_but_not_under_somebodys_hands():
    gone = [*every(5, 10, **ALIVE, clients=1), (20, {})]

    assert ending(HEAD._replace(idle=0.0), *gone, (70, {})) == "lost"
    assert ending(HEAD._replace(idle=0.0), *gone, (70, {"has_session": True})) is None


def test_a_scheduler_that_never_answered_ends_the_head_unless_failures_are_kept():
    limits = HEAD._replace(idle=0.0)

    assert ending(limits, *every(5, 85)) is None
    assert ending(limits, *every(5, 90)) == "joining"
    kept = limits._replace(keeps_failures=True)
    assert ending(kept, *every(5, 995)) is None
    assert ending(kept._replace(lifetime=0.0), *every(5, 5000)) is None


def test_what_failed_and_is_kept_can_be_extended():
    kept = HEAD._replace(idle=0.0, keeps_failures=True)

    assert ending(kept, *every(5, 1000)) == "lifetime"
    assert ending(kept, *every(5, 1000, extended=600.0)) is None
    assert ending(kept, *every(5, 1600, extended=600.0)) == "lifetime"


def test_a_worker_ends_when_it_has_lost_its_head_and_not_before():
    joined = every(5, 200, **ALIVE)

    assert ending(WORKER, *joined, (205, {}), (255, {})) is None
    assert ending(WORKER, *joined, (205, {}), (255, {}), (260, {})) == "lost"
    assert ending(WORKER, *joined, (205, {}), (255, ALIVE), (260, ALIVE), (300, {})) is None


def test_a_worker_has_no_lifetime_of_its_own():
    assert ending(WORKER, *every(5, 5000, **ALIVE)) is None


def test_a_worker_that_never_joins_ends_though_it_is_let_in_for_a_moment_now_and_then():
    """One that is refused connects before it is refused, so now and then that is seen."""
    refused = [(now, ALIVE if now % 25 == 0 else {}) for now in range(0, 90, 5)]

    assert ending(WORKER, *refused) is None
    assert ending(WORKER, *refused, (90, {})) == "joining"


def test_a_worker_ends_once_its_head_says_that_the_cluster_is_over():
    switches, seen = lived(WORKER, (0, ALIVE), (5, {**ALIVE, "over": "its lifetime is over"}))

    assert rules.reason(switches, seen) == ("over", "its lifetime is over")


def test_an_extension_makes_the_lifetime_longer_and_is_somebody_meanwhile():
    extended = {**ALIVE, "extended": 300.0, "spared": 400.0}

    assert ending(HEAD, *every(5, 395, **extended)) is None
    assert ending(HEAD, *every(5, 400, **extended), (494, extended)) is None
    assert ending(HEAD, *every(5, 400, **extended), (496, extended)) == "idle"
    assert ending(HEAD, *every(5, 1295, clients=1, **extended)) is None
    assert ending(HEAD, *every(5, 1300, clients=1, **extended)) == "lifetime"


def test_a_warning_comes_five_minutes_before_or_at_half_of_the_limit():
    def near(limits, until, **seen):
        return [one.name for one in lived(limits, *every(5, until, **seen))[0] if one.is_near]

    assert near(HEAD, 45, **ALIVE) == []
    assert near(HEAD, 50, **ALIVE) == ["idle"]
    assert near(HEAD, 695, clients=1, **ALIVE) == []
    assert near(HEAD, 700, clients=1, **ALIVE) == ["lifetime"]


def test_a_warning_says_when_why_and_what_helps():
    (lifetime, idle, _), _ = lived(HEAD, *every(5, 60, **ALIVE))
    (lost,), _ = lived(WORKER, *every(5, 60))

    assert rules.warning(idle, HEAD) == (
        "this cluster ends in 40 s: for 100 s nobody is connected and nothing runs. "
        "dask-bake extend taxi puts it off"
    )
    assert rules.warning(lifetime, HEAD).startswith(
        "this cluster ends in 15 min: its lifetime of 16 min is over."
    )
    assert rules.warning(lost, WORKER) == "this node ends in 30 s: in 90 s it has not joined the cluster"


@pytest.mark.parametrize(
    ("silent", "used", "hung"),
    [(29.0, 0.0, False), (30.0, 0.0, True), (60.0, 59.0, False), (299.0, 299.0, False), (300.0, 300.0, True)],
)
def test_a_scheduler_hangs_that_neither_answers_nor_computes(silent, used, hung):
    assert rules.is_hung(HEAD, silent=silent, used=used) is hung


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(119, "119 s"), (120, "2 min"), (7199, "119 min"), (9000, "2 h 30 min"), (43200, "12 h")],
)
def test_times_are_readable(seconds, words):
    assert rules.in_words(seconds) == words


def test_the_limits_are_the_unit_s_environment():
    told = {
        "DASK_BAKE_ROLE": "worker",
        "DASK_BAKE_CLUSTER": "taxi",
        "DASK_BAKE_HEAD": "10.0.0.4",
        "DASK_BAKE_LIFETIME": "0",
        "DASK_BAKE_LOST": "7",
        "DASK_BAKE_KEEP_ON_FAILURE": "true",
    }

    asked = rules.Limits(
        role="worker",
        cluster="taxi",
        head="10.0.0.4",
        lifetime=0.0,
        lost=7.0,
        keeps_failures=True,
        has_dask=False,
    )
    assert rules.limits_from(told, has_dask=False) == (asked, ())


@pytest.mark.parametrize("text", ["10m", "", "nan", "inf", "-5"])
def test_a_limit_that_cannot_be_read_is_told_and_its_default_counts(text):
    told = {"DASK_BAKE_ROLE": "head", "DASK_BAKE_CLUSTER": "taxi", "DASK_BAKE_LOST": text}
    limits, unread = rules.limits_from(told, has_dask=True)

    assert (limits.lost, unread) == (rules.Limits("head", "taxi").lost, ("DASK_BAKE_LOST",))


def test_the_document_can_be_read_back():
    switches, seen = lived(HEAD, *every(5, 60, **ALIVE))
    past = rules.Past(0.0, 0.0, 60.0, has_joined=True)
    told = json.loads(json.dumps(rules.document(HEAD, past, seen, switches)))

    assert rules.Past(*told["past"]) == past
    assert [each["name"] for each in told["switches"]] == ["lifetime", "idle", "lost"]


# ---- what is seen


TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0500000A:9C40 0400000A:2252 01 00000000:00000000 00:00000000 00000000   998        0 1 1
   1: 0500000A:9C42 0600000A:2252 06 00000000:00000000 00:00000000 00000000   998        0 1 1
   2: 00000000:2252 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 1 1
"""


def test_a_connection_is_one_that_is_established_to_that_port_of_that_address():
    assert facts.is_connected(TABLE, "10.0.0.4", 8786)
    assert not facts.is_connected(TABLE, "10.0.0.4", 8787)
    assert not facts.is_connected(TABLE, "10.0.0.6", 8786)
    assert not facts.is_connected(TABLE, "10.0.0.5", 40000)
    assert not facts.is_connected("", "10.0.0.4", 8786)


def test_this_machine_s_own_connections_are_seen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not facts.is_connected(facts.read("/proc/net/tcp"), "127.0.0.1", port)
        with socket.create_connection(("127.0.0.1", port)):
            assert facts.is_connected(facts.read("/proc/net/tcp"), "127.0.0.1", port)


def test_an_sshd_of_a_user_s_is_a_session_and_root_s_is_none():
    status = "Name:\tsshd\nUmask:\t0022\nUid:\t{0}\t{0}\t{0}\t{0}\n"

    assert facts.is_users(status.format(1000))
    assert not facts.is_users(status.format(0))
    assert not facts.is_users(status.format(104))
    assert not facts.is_users("")


def test_extensions_add_up_and_the_longest_spares():
    assert facts.extensions("") == facts.Extensions(0, 0.0, 0.0)
    assert facts.extensions("100 50\n120 10.5\n") == facts.Extensions(2, 60.5, 150.0)


def test_half_a_line_of_an_extension_does_not_count_and_the_others_do():
    assert facts.extensions("100 50\n12") == facts.Extensions(1, 50.0, 150.0)
    assert facts.extensions("what\n100 50\n") == facts.Extensions(1, 50.0, 150.0)


def test_the_cpu_that_a_process_used_is_seen():
    """This process's own, as the system counts it, in ticks."""
    begin = facts.cpu_seconds(os.getpid())
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass

    assert 0.05 <= facts.cpu_seconds(os.getpid()) - begin < 10
    assert facts.cpu_seconds(2**22 + 1) == 0.0


def test_a_file_that_is_not_there_or_not_json_is_nothing(tmp_path):
    (tmp_path / "half").write_text('{"at": 1')

    assert facts.read(tmp_path / "none") == ""
    assert facts.read_json(tmp_path / "none") is None
    assert facts.read_json(tmp_path / "half") is None
    facts.write(tmp_path / "whole", "[1]")
    assert facts.read_json(tmp_path / "whole") == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "whole"]


def answering(*answers):
    """A server of one connection for each answer, and what it was asked."""
    server, asked = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65536).decode())
                connection.sendall(answer.encode())

    threading.Thread(target=serve, daemon=True).start()
    return server, asked


def test_an_answer_is_its_status_and_its_body():
    server, asked = answering("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\nnothing", "no http")
    address = server.getsockname()
    with server:
        assert facts.ask(address, "GET /a HTTP/1.0\r\n\r\n") == (404, "nothing")
        assert facts.ask(address, "GET /b HTTP/1.0\r\n\r\n") == (0, "")
    assert facts.ask(address, "GET /c HTTP/1.0\r\n\r\n") == (0, "")
    assert asked[0] == "GET /a HTTP/1.0\r\n\r\n"


class Service(facts.Metadata):
    """A metadata service of a few answers, and what it was asked."""

    def __init__(self, *answers):
        super().__init__()
        self.answers, self.asked = list(answers), []

    def _ask(self, method, path, headers):
        self.asked.append((method, path, headers.partition("\r\n")[0]))
        return self.answers.pop(0)


def test_metadata_is_asked_for_with_a_token_that_is_renewed_when_it_has_run_out():
    service = Service((200, "one"), (404, ""), (401, ""), (200, "two"), (200, "notice\n"))

    assert service.get("spot/instance-action") == ""
    assert service.get("spot/instance-action") == "notice"
    token = "X-aws-ec2-metadata-token"
    assert service.asked == [
        ("PUT", "api/token", f"{token}-ttl-seconds: 21600"),
        ("GET", "meta-data/spot/instance-action", f"{token}: one"),
        ("GET", "meta-data/spot/instance-action", f"{token}: one"),
        ("PUT", "api/token", f"{token}-ttl-seconds: 21600"),
        ("GET", "meta-data/spot/instance-action", f"{token}: two"),
    ]


@pytest.mark.parametrize(
    "answers", [[(0, "")], [(403, "")], [(200, "one"), (500, "")], [(200, "1"), (401, "")] * 2]
)
def test_metadata_that_does_not_answer_is_neither_yes_nor_no(answers):
    assert Service(*answers).get("spot/instance-action") is None


# ---- what the scheduler says


def a_scheduler(*clients, busy=False):
    workers = {"a": SimpleNamespace(processing={}), "b": SimpleNamespace(processing={"x": 1} if busy else {})}
    return SimpleNamespace(clients=dict.fromkeys(["fire-and-forget", *clients]), workers=workers)


def test_tasks_clients_and_the_scheduler_itself_are_nobody():
    assert pulse.pulse(a_scheduler("Client-worker-1"))["clients"] == 0
    assert pulse.pulse(a_scheduler("Client-1", "TunnelledClient-2"))["clients"] == 2


def test_a_task_runs_where_a_worker_has_one():
    assert pulse.pulse(a_scheduler())["running"] is False
    assert pulse.pulse(a_scheduler(busy=True))["running"] is True
