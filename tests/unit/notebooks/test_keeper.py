"""Notebooks of a connected cluster, saved when it is about to shut itself down."""

import json
from dataclasses import asdict

import pytest

from dask_bake.clusters.auto_shutdown import ShutdownTimer
from dask_bake.errors import BakeError
from dask_bake.notebooks.collect import Notebooks
from dask_bake.notebooks.folder import NotebookFolder
from dask_bake.notebooks.keeper import NotebookKeeper, pause_before
from fakes import FakeClock, a_cluster
from polling import until


def timer(left: float, *, limit: float = 43_200, held: str = "") -> ShutdownTimer:
    return ShutdownTimer("lifetime", limit=limit, left=left, held=held, why="")


@pytest.mark.parametrize(
    ("timers", "pause"),
    [
        ((), 600),
        ((timer(10_000),), 600),
        ((timer(500),), 380),
        ((timer(130),), 20),
        ((timer(0),), 20),
        ((timer(10_000), timer(500)), 380),
        # One that is held cannot end the cluster before its whole limit has passed.
        ((timer(0, limit=500, held="a task is running"),), 380),
    ],
)
def test_the_head_is_looked_at_again_before_it_can_end(timers, pause):
    assert pause_before(timers) == pause


class Head:
    """A head with a timer and a notebook."""

    def __init__(self, path):
        self.left = 1000.0
        self.looks = 0
        self.text = "{}"
        self.error = ""
        self.notes = []
        self.clock = FakeClock()
        self.folder = NotebookFolder(path)
        self.keeper = NotebookKeeper(
            a_cluster(),
            None,
            self.folder,
            self.notes.append,
            clock=self.clock,
            timers=self.timers,
            notebooks=self.notebooks,
        )

    def timers(self, _):
        self.looks += 1
        return json.dumps({"switches": [asdict(timer(self.left))]})

    def notebooks(self, *_):
        if self.error:
            raise BakeError(self.error)
        return Notebooks({"a.ipynb": self.text})

    def look(self, looks: int):
        """Advance until the keeper has looked that often, and has dealt with what it saw."""

        def done():
            self.keeper.advance()
            return self.looks == looks and self.keeper._look is None

        until(done, timeout=60)

    @property
    def saved(self):
        path = self.folder.path / "a.ipynb"
        return path.read_text() if path.exists() else None


@pytest.fixture
def head(tmp_path):
    return Head(tmp_path / "saved")


def test_notebooks_are_saved_near_the_end_and_the_newest_is_kept(head):
    head.look(1)
    assert (head.saved, head.notes) == (None, [])

    head.clock.now += 600
    head.left = 100
    head.look(2)
    assert head.saved == "{}"

    head.clock.now += 20
    head.text = "newer"
    head.look(3)

    assert head.saved == "newer"
    assert [note.text for note in head.notes] == [
        f"dask is about to end: its notebooks are saved in {head.folder.path}."
    ]


def test_between_two_looks_nothing_is_asked(head):
    head.look(1)
    for _ in range(3):
        head.keeper.advance()

    assert head.looks == 1


def test_a_head_that_does_not_answer_is_asked_again(head):
    head.left, head.error = 100, "nothing answers"
    head.look(1)
    assert (head.saved, head.notes) == (None, [])

    head.clock.now += 20
    head.error = ""
    head.look(2)

    assert head.saved == "{}"


def test_a_folder_that_cannot_be_written_is_a_note(head):
    head.folder.path.write_text("a file")
    head.left = 100
    head.look(1)

    (note,) = head.notes
    assert note.text.startswith(f"The notebooks of dask cannot be saved: {head.folder.path}/a.ipynb")
