"""No test reaches a real account or anything outside this machine, but for the local cloud's own."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import dask.config
import pytest
from botocore.loaders import JSONFileLoader, Loader

import fault_table

# moto reads these when it is imported.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "true")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")

# Commands are started by the hundred: each would compile all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell ignores Ctrl-C for what it starts in the background, and so would all that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def model(path: str) -> Any:
    """A model of botocore's: each session would read it anew, which is most of the time of a short test."""
    return JSONFileLoader().load_file(path)


class ReadOnce(JSONFileLoader):
    """Reads each file once for all sessions, which leave what they read as it is."""

    def load_file(self, file_path: str) -> Any:
        return model(file_path)


Loader.FILE_LOADER_CLASS = ReadOnce

LOOPBACK = ("127.", "::1", "localhost")


class OutsideError(AssertionError):
    """A test tried to reach something outside this machine."""


@pytest.fixture(autouse=True)
def apart(request, monkeypatch, tmp_path) -> Iterator[None]:
    """Dummy credentials, an empty home, and no network but this machine's own."""
    if request.node.get_closest_marker("local"):
        yield
        return
    for name in [name for name in os.environ if name.startswith(("AWS_", "DASK_", "XDG_", "CLUSTERFILE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("HOME", str(tmp_path))
    # dask looks where its home is when it is imported, which may have been long ago.
    monkeypatch.setattr(dask.config, "paths", [str(tmp_path / ".config" / "dask")])
    connect = socket.socket.connect

    def connect_here(self, address):
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(LOOPBACK):
            raise OutsideError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    yield


@dataclass
class Happening:
    """What a test sees of a fault: it may say what is left, and seconds of another clock than the wall's."""

    left: str
    seconds: float | None = None


@pytest.fixture
def fault_row() -> Iterator[Callable[..., AbstractContextManager[Happening]]]:
    """Records a row of docs/faults.md once its block has ended well; at last the test is held to the page."""
    rows: list[fault_table.Row] = []

    @contextmanager
    def record(part: str, fault: str, happens: str, *, left: str) -> Iterator[Happening]:
        seen, began = Happening(left), time.monotonic()
        yield seen
        seconds = time.monotonic() - began if seen.seconds is None else seen.seconds
        rows.append(fault_table.Row(part, fault, happens, seen.left, seconds))
        fault_table.store(rows[-1])

    yield record
    fault_table.check(rows)
