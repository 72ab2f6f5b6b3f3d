"""Nodes that answer SSH on loopback."""

from collections.abc import Iterator

import pytest

from ssh_nodes import Nodes, running_nodes


@pytest.fixture
def nodes(tmp_path, monkeypatch) -> Iterator[Nodes]:
    with running_nodes(tmp_path, monkeypatch) as found:
        yield found
