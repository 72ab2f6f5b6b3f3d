"""The command line of a node's worker processes, and how long it waits for the scheduler."""

import socket
import threading
import time

import dask.config
import pytest

from node_programs import load

PRELOADS = (
    *("--preload", "/usr/libexec/dask-bake/dask_bake_drain.py"),
    *("--preload", "/usr/libexec/dask-bake/dask_bake_oom.py"),
    *("--preload", "/usr/libexec/dask-bake/dask_bake_credentials.py"),
    *("--preload", "/usr/libexec/dask-bake/dask_bake_dashboard.py"),
)


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_the_workers_start_when_the_scheduler_listens(monkeypatch, scheme):
    program, runs, waited = load("worker"), [], []
    monkeypatch.setattr(program, "main", lambda words, prog_name: runs.append((prog_name, words)))
    monkeypatch.setattr(program, "wait_for", lambda *address: waited.append(address))
    monkeypatch.setattr(program, "use_packages", lambda *_: None)
    monkeypatch.setenv("DASK_BAKE_SCHEDULER", f"{scheme}://10.0.0.4:8786")
    monkeypatch.setenv("DASK_BAKE_NPROCS", "8")
    monkeypatch.setenv("DASK_BAKE_NTHREADS", "2")
    monkeypatch.setenv("DASK_BAKE_OPTIONS", "--resources 'GPU=1'")
    with dask.config.set({"distributed.worker.preload": ["mine.py"]}):
        program.work()

    own = ["--nworkers", "8", "--nthreads", "2", "--no-dashboard", "--local-directory", "/var/lib/dask"]
    options = [*PRELOADS, "--preload", "mine.py", "--resources", "GPU=1"]
    assert waited == [("10.0.0.4", 8786)]
    assert runs == [("dask worker", [f"{scheme}://10.0.0.4:8786", *own, *options])]


def test_a_port_is_waited_for_until_it_is_open():
    program = load("worker")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        waiting = threading.Thread(target=program.wait_for, args=("127.0.0.1", port), daemon=True)
        waiting.start()
        time.sleep(0.2)
        assert waiting.is_alive()
        server.listen()
        waiting.join(timeout=60)

        assert not waiting.is_alive()
