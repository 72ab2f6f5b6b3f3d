"""Decisions to power a node off, from what was observed: after a warning, and with a reason."""

import json

import pytest

import watch_rules as rules

HEAD = rules.Limits(role="head", cluster="taxi", lifetime=1000.0, idle=100.0, lost=60.0, joining=90.0)
WORKER = HEAD._replace(role="worker", head="10.0.0.4")


def lived(limits, *moments):
    """Return the timers after these moments, each a time and what is observed then."""
    history = None
    for now, state in moments:
        seen = rules.Observation(now=float(now), **state)
        history = history or rules.History(began=seen.now, last_used=seen.now, last_connected=seen.now)
        history = rules.remember(history, seen)
    return rules.shutdown_timers(limits, history, seen), seen


def ending(limits, *moments):
    """Return the name of what ends the node after these moments, or None."""
    found = rules.reason(*lived(limits, *moments))
    return found and found[0]


def every(pause, until, **state):
    """Return the same state, observed again and again from 0 on."""
    return [(now, state) for now in range(0, until + 1, pause)]


ALIVE = {"is_connected": True}


def test_a_head_in_use_ends_with_its_lifetime_and_not_before():
    in_use = {**ALIVE, "clients": 1}

    assert ending(HEAD, *every(5, 995, **in_use)) is None
    assert ending(HEAD, *every(5, 1000, **in_use)) == "lifetime"


def test_a_lifetime_of_0_is_no_limit():
    assert ending(HEAD._replace(lifetime=0.0), *every(5, 5000, clients=1, **ALIVE)) is None


def test_an_unused_head_ends_after_the_idle_time_out():
    assert ending(HEAD, *every(5, 95, **ALIVE)) is None
    assert ending(HEAD, *every(5, 100, **ALIVE)) == "idle"
    assert ending(HEAD._replace(idle=0.0), *every(5, 500, **ALIVE)) is None


@pytest.mark.parametrize(
    ("state", "held"),
    [
        ({"clients": 1}, "a client is connected"),
        ({"clients": 3}, "3 clients are connected"),
        ({"has_session": True}, "an SSH session is open"),
        ({"is_running": True}, "a task is running"),
        ({"has_busy_kernel": True}, "a notebook is busy"),
    ],
)
def test_activity_keeps_the_cluster_and_the_idle_time_starts_when_it_stops(state, held):
    timers, _ = lived(HEAD, *every(5, 500, **ALIVE, **state))
    idle = next(one for one in timers if one.name == "idle")

    assert (idle.held, idle.is_due, idle.is_near) == (held, False, False)
    stayed = every(5, 500, **ALIVE, **state)
    assert ending(HEAD, *stayed, (599, ALIVE)) is None
    assert ending(HEAD, *stayed, (600, ALIVE)) == "idle"


def test_without_dask_a_head_has_only_its_lifetime():
    limits = HEAD._replace(has_dask=False)

    assert [one.name for one in lived(limits, *every(5, 500))[0]] == ["lifetime"]


def test_a_head_whose_scheduler_is_gone_ends_unless_an_ssh_session_is_open():
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


def test_a_failed_head_that_is_kept_can_be_extended():
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


def test_a_worker_that_never_joins_ends_even_if_it_connects_for_a_moment_now_and_then():
    """A worker that the scheduler refuses is connected for a moment, which is sometimes observed."""
    refused = [(now, ALIVE if now % 25 == 0 else {}) for now in range(0, 90, 5)]

    assert ending(WORKER, *refused) is None
    assert ending(WORKER, *refused, (90, {})) == "joining"


def test_a_worker_ends_when_its_head_has_ended_the_cluster():
    timers, seen = lived(WORKER, (0, ALIVE), (5, {**ALIVE, "over": "its lifetime is over"}))

    assert rules.reason(timers, seen) == ("over", "its lifetime is over")


def test_an_extension_lengthens_the_lifetime_and_counts_as_activity_meanwhile():
    extended = {**ALIVE, "extended": 300.0, "extended_until": 400.0}

    assert ending(HEAD, *every(5, 395, **extended)) is None
    assert ending(HEAD, *every(5, 400, **extended), (494, extended)) is None
    assert ending(HEAD, *every(5, 400, **extended), (496, extended)) == "idle"
    assert ending(HEAD, *every(5, 1295, clients=1, **extended)) is None
    assert ending(HEAD, *every(5, 1300, clients=1, **extended)) == "lifetime"


def test_a_warning_comes_five_minutes_before_the_end_or_at_half_of_the_limit():
    def near(limits, until, **state):
        return [one.name for one in lived(limits, *every(5, until, **state))[0] if one.is_near]

    assert near(HEAD, 45, **ALIVE) == []
    assert near(HEAD, 50, **ALIVE) == ["idle"]
    assert near(HEAD, 695, clients=1, **ALIVE) == []
    assert near(HEAD, 700, clients=1, **ALIVE) == ["lifetime"]


def test_a_warning_has_the_time_the_reason_and_the_command_that_helps():
    (lifetime, idle, _), _ = lived(HEAD, *every(5, 60, **ALIVE))
    (lost,), _ = lived(WORKER, *every(5, 60))

    assert rules.warning(idle, HEAD) == (
        "this cluster ends in 40 s: no client, task or session for 100 s. "
        "To postpone it: dask-bake extend taxi"
    )
    assert rules.warning(lifetime, HEAD).startswith(
        "this cluster ends in 15 min: its lifetime of 16 min is over."
    )
    assert rules.warning(lost, WORKER) == "this node ends in 30 s: it has not joined the cluster within 90 s"


@pytest.mark.parametrize(
    ("silent", "used", "hung"),
    [(29.0, 0.0, False), (30.0, 0.0, True), (60.0, 59.0, False), (299.0, 299.0, False), (300.0, 300.0, True)],
)
def test_a_scheduler_that_neither_answers_nor_computes_is_hung(silent, used, hung):
    assert rules.is_hung(HEAD, silent=silent, used=used) is hung


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(119, "119 s"), (120, "2 min"), (7199, "119 min"), (9000, "2 h 30 min"), (43200, "12 h")],
)
def test_times_are_readable(seconds, words):
    assert rules.in_words(seconds) == words


def test_the_limits_come_from_the_unit_s_environment():
    values = {
        "DASK_BAKE_ROLE": "worker",
        "DASK_BAKE_CLUSTER": "taxi",
        "DASK_BAKE_HEAD": "10.0.0.4",
        "DASK_BAKE_LIFETIME": "0",
        "DASK_BAKE_LOST": "7",
        "DASK_BAKE_KEEP_ON_FAILURE": "true",
    }

    expected = rules.Limits(
        role="worker",
        cluster="taxi",
        head="10.0.0.4",
        lifetime=0.0,
        lost=7.0,
        keeps_failures=True,
        has_dask=False,
    )
    assert rules.limits_from(values, has_dask=False) == (expected, ())


@pytest.mark.parametrize("text", ["10m", "", "nan", "inf", "-5"])
def test_a_limit_that_is_no_number_is_reported_and_its_default_used(text):
    values = {"DASK_BAKE_ROLE": "head", "DASK_BAKE_CLUSTER": "taxi", "DASK_BAKE_LOST": text}
    limits, invalid = rules.limits_from(values, has_dask=True)

    assert (limits.lost, invalid) == (rules.Limits("head", "taxi").lost, ("DASK_BAKE_LOST",))


def test_the_document_can_be_read_back():
    timers, seen = lived(HEAD, *every(5, 60, **ALIVE))
    history = rules.History(0.0, 0.0, 60.0, has_joined=True)
    found = json.loads(json.dumps(rules.document(HEAD, history, seen, timers)))

    assert rules.History(*found["past"]) == history
    assert [each["name"] for each in found["switches"]] == ["lifetime", "idle", "lost"]
