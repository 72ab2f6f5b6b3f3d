"""The pulse that the scheduler writes."""

import asyncio
import json
import os
import time
from types import SimpleNamespace

import dask_bake_pulse as program


def scheduler(*clients, busy=False):
    workers = {"a": SimpleNamespace(processing={}), "b": SimpleNamespace(processing={"x": 1} if busy else {})}
    return SimpleNamespace(clients=dict.fromkeys(["fire-and-forget", *clients]), workers=workers)


def test_the_scheduler_itself_and_clients_within_tasks_do_not_count():
    assert program.pulse(scheduler("Client-worker-1"))["clients"] == 0
    assert program.pulse(scheduler("Client-1", "TunnelledClient-2"))["clients"] == 2


def test_the_cluster_is_running_if_a_worker_has_a_task():
    assert program.pulse(scheduler())["running"] is False
    assert program.pulse(scheduler(busy=True))["running"] is True


def test_a_pulse_is_written_at_once_and_again_and_again(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(program, "INTERVAL", 5)
    path = tmp_path / "pulse.json"

    async def two_pulses():
        program.dask_setup(scheduler("Client-1"))
        first = json.loads(path.read_text())
        deadline = time.monotonic() + 60
        while (second := json.loads(path.read_text())) == first:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        return first, second

    first, second = asyncio.run(two_pulses())

    assert first == {"at": first["at"], "pid": os.getpid(), "clients": 1, "running": False}
    assert second["at"] > first["at"]
