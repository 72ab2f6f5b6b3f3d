"""A worker process that leaves when its node is to be reclaimed."""

import asyncio
import time

import dask_bake_drain as program


class FakeWorker:
    """A worker that records how it was closed."""

    def __init__(self):
        self.closed = []

    async def close_gracefully(self, **how):
        self.closed.append(how)


def test_a_worker_closes_once_when_the_flag_appears(monkeypatch, tmp_path):
    flag, worker = tmp_path / "draining", FakeWorker()
    monkeypatch.setattr(program, "FLAG", str(flag))
    monkeypatch.setattr(program, "INTERVAL", 5)

    async def live():
        program.dask_setup(worker)
        await asyncio.sleep(0.05)
        before = list(worker.closed)
        flag.touch()
        deadline = time.monotonic() + 60
        while not worker.closed:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        return before

    assert asyncio.run(live()) == []
    assert worker.closed == [{"restart": False, "reason": "the node is going"}]
