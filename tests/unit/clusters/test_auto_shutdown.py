"""Shutdown timers of a cluster: parsed from the head's state file, and put into sentences."""

import json
from dataclasses import asdict

import pytest

from dask_bake.clusters.auto_shutdown import (
    STATE_FILE,
    ShutdownTimer,
    is_near,
    limits_in_words,
    parse_timers,
    sentences,
)

LIFETIME = ShutdownTimer("lifetime", limit=43_200, left=43_000, held="", why="its lifetime of 12 h is over")
IDLE = ShutdownTimer("idle", limit=1_800, left=1_200, held="", why="no client, task or session for 30 min")
USED = ShutdownTimer(
    "idle", limit=1_800, left=1_800, held="a task is running", why="no client, task or session for 30 min"
)
LOST = ShutdownTimer("lost", limit=600, left=600, held="", why="no answer from the scheduler for 10 min")


def state_file(*switches, **others):
    return json.dumps({"role": "head", "switches": [asdict(one) for one in switches], **others})


def test_the_state_file_of_the_head_is_parsed():
    assert parse_timers(state_file(LIFETIME, USED, extended=0.0)) == (LIFETIME, USED)
    assert parse_timers(state_file()) == ()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "null", '{"switches": [{"name": "idle"}]}', '{"switches": 1}'),
        "[" * 60_000,
        state_file(LIFETIME) + " " * 100_000,
        *(state_file(IDLE).replace("1800", number) for number in ("NaN", "Infinity", "1e999", "9" * 400)),
    ],
)
def test_a_malformed_state_file_has_no_timers(text):
    assert parse_timers(text) is None


def test_an_overdue_timer_has_zero_seconds_left():
    late = ShutdownTimer("idle", limit=10, left=-3, held="", why="")
    assert parse_timers(state_file(late)) == (ShutdownTimer("idle", limit=10, left=0, held="", why=""),)


def test_sentences_say_when_the_cluster_ends_and_what_keeps_it_running():
    assert sentences([LIFETIME, IDLE, LOST]) == (
        "It shuts down in 11 h 56 min at the latest.",
        "It shuts down in 20 min unless a client connects or a task runs.",
    )
    assert sentences([USED]) == ("It is in use: a task is running.",)


def test_a_failure_timer_is_shown_when_half_of_its_time_has_passed():
    near = ShutdownTimer("lost", limit=600, left=300, held="", why=LOST.why)
    held = ShutdownTimer("lost", limit=600, left=300, held="an SSH session is open", why=LOST.why)

    assert sentences([near]) == ("It shuts down in 5 min: no answer from the scheduler for 10 min.",)
    assert sentences([held]) == ()


def test_a_shutdown_within_five_minutes_is_near():
    assert not is_near([LIFETIME, USED, LOST])
    assert is_near([ShutdownTimer("lifetime", limit=43_200, left=300, held="", why="")])
    assert not is_near([ShutdownTimer("idle", limit=1_800, left=200, held="a client is connected", why="")])


def test_the_state_file_is_the_one_that_the_watch_of_a_node_writes(request):
    facts = (request.config.rootpath / "packer/rootfs/usr/libexec/dask-bake/watch_facts.py").read_text()
    folder, name = STATE_FILE.rsplit("/", 1)

    assert f'FOLDER = "{folder}"\n' in facts
    assert f'f"{{FOLDER}}/{name}"' in facts


@pytest.mark.parametrize(
    ("lifetime", "idle", "words"),
    [
        (43_200, 1_800, "when idle for 30 min, at the latest after 12 h"),
        (43_200, 0, "after 12 h"),
        (0, 90, "when idle for 90 s"),
        (0, 0, "never by itself"),
    ],
)
def test_the_limits_of_a_new_cluster_are_one_phrase(lifetime, idle, words):
    assert limits_in_words(lifetime=lifetime, idle=idle) == words
