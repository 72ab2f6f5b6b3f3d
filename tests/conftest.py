"""No test reaches a real account or anything outside this machine, but for the local cloud's own."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader, Loader

import fault_table
from isolation import isolate

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


@pytest.fixture(autouse=True)
def apart(request, monkeypatch, tmp_path) -> None:
    """Dummy credentials, an empty home, and no network but this machine's own."""
    if not request.node.get_closest_marker("local"):
        isolate(monkeypatch, tmp_path)


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
