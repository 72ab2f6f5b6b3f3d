"""A launch sends the caller's credentials where they are wanted; the cluster stays up if that fails."""

from dataclasses import replace

import pytest

from dask_bake.events import Note
from dask_bake.forwarding.session import forward_once, forwarding
from dask_bake.models.tags import Tag
from dask_bake.ssh.command import Forward
from fakes import CLOUD, FakeQueries, a_cluster


@pytest.fixture
def notes():
    return []


def test_a_cluster_without_forwarded_credentials_is_not_asked(notes, tmp_path):
    forward_once(a_cluster(), CLOUD, FakeQueries(), notes.append)
    with forwarding(
        a_cluster(), CLOUD, FakeQueries(), Forward(tmp_path / "none", 8786), notes.append
    ) as ends:
        assert ends == ""

    assert notes == []


def test_what_prevents_it_is_a_note_and_connect_does_it_later(notes):
    """Here the cluster's key is missing."""
    cluster = a_cluster()
    nodes = tuple(replace(each, tags=(*each.tags, (Tag.CREDENTIALS, "forward"))) for each in cluster.nodes)
    forward_once(replace(cluster, nodes=nodes), CLOUD, FakeQueries(), notes.append)

    (note,) = notes
    assert isinstance(note, Note)
    assert note.text.startswith("Tasks do not get your AWS credentials yet: the key of cluster dask ")
    assert note.text.endswith(". connect() sends them.")
