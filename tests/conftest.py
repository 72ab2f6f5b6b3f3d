"""Isolate all tests: none reaches a real account or another machine, apart from the local cloud's."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from botocore.client import ClientCreator
from botocore.loaders import JSONFileLoader, Loader

import fault_table
from isolation import isolate

# moto reads these when it is imported.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "true")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true")

# Hundreds of commands are started: each would compile all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A background job of a shell ignores SIGINT, and its child processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def model(path: str) -> Any:
    """Return a model of botocore; reading it for each session takes most of the time of a short test."""
    return JSONFileLoader().load_file(path)


class ReadOnce(JSONFileLoader):
    """Read each file once for all sessions, which do not change it."""

    def load_file(self, file_path: str) -> Any:
        return model(file_path)


Loader.FILE_LOADER_CLASS = ReadOnce


def methods_once(create: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a function that creates a service's methods once for all sessions; an EC2 client has 700."""
    created: dict[str, dict[str, Any]] = {}

    def methods(creator: ClientCreator, service: Any) -> dict[str, Any]:
        if service.service_id not in created:
            created[service.service_id] = create(creator, service)
        return created[service.service_id].copy()

    return methods


ClientCreator._create_methods = methods_once(ClientCreator._create_methods)


@pytest.fixture(autouse=True)
def isolated(request, monkeypatch, tmp_path) -> None:
    """Set dummy credentials, an empty home, and no network beyond loopback."""
    if not request.node.get_closest_marker("local"):
        isolate(monkeypatch, tmp_path)


@dataclass
class Happening:
    """The result of a fault as the test saw it; ``seconds`` replaces the measured time."""

    left: str
    seconds: float | None = None


@pytest.fixture
def fault_row() -> Iterator[Callable[..., AbstractContextManager[Happening]]]:
    """Record a row of docs/faults.md when its block has succeeded, and check that the page has it."""
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
