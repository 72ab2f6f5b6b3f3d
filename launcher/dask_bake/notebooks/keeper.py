"""Saving of notebooks while a connected cluster is about to shut itself down."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from dask_bake.clusters.auto_shutdown import STATE_FILE, ShutdownTimer, parse_timers
from dask_bake.errors import BakeError
from dask_bake.events import Note, Notify
from dask_bake.models.cluster import Cluster
from dask_bake.notebooks.collect import Notebooks, collect
from dask_bake.notebooks.folder import NotebookFolder
from dask_bake.ssh.command import Host, read_file
from dask_bake.system.concurrency import BackgroundCall

NEAR = 120.0
"""Seconds before a shutdown from which notebooks are saved."""
LEAST_PAUSE, MOST_PAUSE = 20.0, 600.0
"""Seconds between two looks at the head; also while a shutdown is near."""


class NotebookKeeper:
    """Looks at a head's timers in the background, and saves its notebooks when one is about to end it."""

    def __init__(
        self,
        cluster: Cluster,
        reached: Host,
        folder: NotebookFolder,
        notify: Notify,
        *,
        clock: Callable[[], float] = time.monotonic,
        timers: Callable[[Host], str] = lambda reached: read_file(reached, STATE_FILE),
        notebooks: Callable[[Cluster, Host], Notebooks] = collect,
    ) -> None:
        self._cluster, self._reached, self._folder = cluster, reached, folder
        self._notify, self._clock = notify, clock
        self._timers, self._notebooks = timers, notebooks
        self._due = clock()
        self._look: BackgroundCall | None = None
        self._saved = 0

    def advance(self) -> None:
        """Take the next step; it never waits for the head."""
        if self._look is None:
            if self._clock() >= self._due:
                self._look = BackgroundCall(self._look_there)
            return
        if not self._look.has_ended:
            return
        pause, found = self._look.result()
        self._look, self._due = None, self._clock() + pause
        if found is not None:
            self._save(found)

    def _look_there(self) -> tuple[float, Notebooks | None]:
        timers = parse_timers(self._timers(self._reached))
        pause, found = pause_before(timers or ()), None
        if pause <= LEAST_PAUSE:
            with suppress(BakeError):
                found = self._notebooks(self._cluster, self._reached)
        return pause, found

    def _save(self, found: Notebooks) -> None:
        try:
            self._folder.save(found)
        except BakeError as error:
            self._notify(Note(f"The notebooks of {self._cluster.name} cannot be saved: {error.message}."))
            return
        if len(found.texts) > self._saved:
            self._notify(
                Note(f"{self._cluster.name} is about to end: its notebooks are saved in {self._folder.path}.")
            )
        self._saved = len(found.texts)


def pause_before(timers: Sequence[ShutdownTimer]) -> float:
    """Return the seconds until the head has to be looked at again, the least while a shutdown is near.

    A timer that is held can end the cluster after its whole limit at the earliest.
    """
    left = min((one.limit if one.held else one.left for one in timers), default=MOST_PAUSE + NEAR)
    return min(max(left - NEAR, LEAST_PAUSE), MOST_PAUSE)
