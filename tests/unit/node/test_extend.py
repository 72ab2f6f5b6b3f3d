"""The program that postpones the end of a cluster."""

import json
import threading
import time

import pytest

import watch_facts
from node_programs import load


@pytest.fixture
def files(monkeypatch, tmp_path):
    """The watch's files, in a folder of the test's."""
    monkeypatch.setattr(watch_facts, "EXTENSIONS", str(tmp_path / "extensions"))
    monkeypatch.setattr(watch_facts, "STATE", str(tmp_path / "switches.json"))
    return tmp_path


def extend(monkeypatch, seconds, timeout=10.0):
    program = load("extend")
    monkeypatch.setattr(program, "TIMEOUT", timeout)
    monkeypatch.setattr(program.sys, "argv", ["extend", seconds])
    program.main()


def test_the_new_state_is_printed_once_the_watch_has_it(monkeypatch, files, capsys):
    """Extensions add up, so it waits for their sum."""
    (files / "extensions").write_text("1.0 50\n")
    (files / "switches.json").write_text('{"extended": 50.0}')

    def watch():
        deadline = time.monotonic() + 60
        while watch_facts.extensions((files / "extensions").read_text()).seconds != 170:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        watch_facts.write(watch_facts.STATE, '{"extended": 170.0}')

    watching = threading.Thread(target=watch)
    watching.start()
    extend(monkeypatch, "120")
    watching.join()

    assert json.loads(capsys.readouterr().out) == {"extended": 170.0}


def test_a_watch_that_does_not_answer_is_an_error(monkeypatch, files):
    with pytest.raises(SystemExit, match=r"^extend: dask-bake-watch\.service does not answer$"):
        extend(monkeypatch, "120", timeout=0.0)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e9", "1e308"])
def test_only_a_positive_time_of_some_years_is_valid(monkeypatch, files, seconds):
    with pytest.raises(SystemExit, match=f"^extend: {seconds} is not a valid time$"):
        extend(monkeypatch, seconds)

    assert not (files / "extensions").exists()
