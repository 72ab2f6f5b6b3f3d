"""Dask's protocol over a Unix socket, against a scheduler of this process."""

import importlib.metadata
import logging
import os
import tomllib
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from distributed.security import Security

from dask_bake.ssh.dask_comm import UnixBackend, UnixTlsBackend, register
from dask_bake.ssh.tunnel import dask_address
from unix_forward import forwarded


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory):
    """Return the socket of a scheduler with one worker."""
    register()
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=":0"
    ) as cluster:
        port = int(cluster.scheduler_address.rpartition(":")[2])
        with forwarded(tmp_path_factory.mktemp("s") / "8786", port) as path:
            yield path


def test_a_client_computes_over_a_unix_socket_without_a_warning(socket_path, caplog):
    data = os.urandom(3_000_000)

    with Client(dask_address(socket_path, tls=False)) as client:
        assert client.submit(sum, range(100)).result(timeout=60) == 4950
        [future] = client.scatter([data])
        assert client.submit(len, future).result(timeout=60) == len(data)
        assert client.gather(future) == data
        assert client.scheduler.address == f"dask-bake://{socket_path}"
        assert "threads=1" in repr(client)

    assert [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("distributed.comm") and record.levelno >= logging.WARNING
    ] == []


def test_a_client_that_requires_tls_does_not_use_an_address_without(socket_path):
    security = Security(require_encryption=True)
    with pytest.raises(RuntimeError, match="has to be encrypted"):
        Client(dask_address(socket_path, tls=False), security=security)


def test_a_socket_without_a_scheduler_is_an_os_error(tmp_path):
    register()
    with pytest.raises(OSError, match="Timed out trying to connect"):
        Client(dask_address(tmp_path / "none", tls=False), timeout="0.3s")


def test_an_address_of_this_kind_cannot_be_listened_at():
    with pytest.raises(NotImplementedError, match="ssh"):
        UnixBackend().get_listener("/x", None)


def test_other_programs_find_the_backends_by_entry_points():
    pyproject = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    declared = pyproject["project"]["entry-points"]["distributed.comm.backends"]

    found = {
        name: importlib.metadata.EntryPoint(name, value, "distributed.comm.backends").load()
        for name, value in declared.items()
    }
    assert found == {"dask-bake": UnixBackend, "dask-bake-tls": UnixTlsBackend}
