"""The guard of the lifetime, which needs neither the watch nor Python."""

import subprocess
import time

import pytest

from node_programs import LIBEXEC, FakeCommands

OFF = "systemctl poweroff --force"
HOUR = 3600


@pytest.fixture
def guard(tmp_path):
    """Run the guard with the record's text and the limits; return the commands that it runs."""
    commands = FakeCommands(tmp_path, "systemctl")
    record = tmp_path / "disk" / "lifetime"

    def run(text=None, **limits):
        if text is not None:
            record.parent.mkdir(exist_ok=True)
            record.write_text(text)
        given = {f"DASK_BAKE_{name.upper()}": str(value) for name, value in limits.items()}
        subprocess.run(
            [LIBEXEC / "lifetime", record],
            check=True,
            timeout=300,
            env={"PATH": f"{commands.path}:/usr/bin:/bin", **given},
        )
        return commands.lines

    run.record = record
    return run


def ago(seconds, extended=0):
    return f"boot {round(time.time()) - seconds} {extended} 0\n"


@pytest.mark.parametrize(
    ("seconds", "extended", "limits", "is_over"),
    [
        (2 * HOUR, 0, {"lifetime": HOUR}, True),
        (HOUR + 200, 0, {"lifetime": HOUR}, False),
        (HOUR + 200, 0, {"lifetime": HOUR, "grace": 100}, True),
        (2 * HOUR, 2 * HOUR, {"lifetime": HOUR}, False),
        (4 * HOUR, 2 * HOUR, {"lifetime": HOUR}, True),
        (2 * HOUR, 0, {"lifetime": 2 * HOUR}, False),
        (9 * 24 * HOUR, 0, {"lifetime": 0}, False),
        (13 * HOUR, 0, {"lifetime": "twelve hours"}, True),
        (13 * HOUR, 0, {}, True),
        (11 * HOUR, 0, {}, False),
        (2 * HOUR, 0, {"lifetime": "3600.0"}, True),
    ],
)
def test_a_head_whose_lifetime_is_over_for_five_minutes_is_powered_off(
    guard, seconds, extended, limits, is_over
):
    assert guard(ago(seconds, extended), role="head", **limits) == ([OFF] if is_over else [])


def test_a_worker_is_powered_off_ten_minutes_after_its_head(guard):
    """It may keep a dead connection; the head tells it how long the lifetime is."""
    assert guard(ago(HOUR + 800), role="worker", lifetime=HOUR) == []
    assert guard(ago(2 * HOUR, extended=HOUR), role="worker", lifetime=HOUR) == []
    assert guard(ago(HOUR + 1000), role="worker", lifetime=HOUR) == [OFF]


def test_other_instances_are_left_alone(guard):
    assert guard(ago(99 * HOUR), lifetime=HOUR) == []
    assert guard(ago(99 * HOUR), role="other", lifetime=HOUR) == []


@pytest.mark.parametrize("text", [None, "", "boot", "boot x y z", "no newline"])
def test_without_a_record_the_lifetime_begins_now(guard, text):
    assert guard(text, role="head", lifetime=HOUR) == []

    _, began, extended, until = guard.record.read_text().split()
    assert (abs(int(began) - time.time()) < 60, extended, until) == (True, "0", "0")
    assert guard(role="head", lifetime=HOUR) == []
