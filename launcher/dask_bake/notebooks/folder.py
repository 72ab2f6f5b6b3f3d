"""Folder of this machine for a cluster's notebooks."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.models.cluster import Cluster
from dask_bake.notebooks.collect import Notebooks
from dask_bake.ssh.keystore import PLAIN
from dask_bake.system.xdg import home

NAME = "dask-bake-notebooks"


@dataclass(frozen=True)
class SavedNotebooks:
    """Notebooks of a head that were saved in a folder of this machine, and those that were not.

    Args:
        trouble: why none could be saved, or why there may be more; empty otherwise.
    """

    folder: Path | None = None
    saved: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def is_lossy(self) -> bool:
        """True if notebooks on the head end, or may end, with the cluster."""
        return bool(self.lost or self.trouble)


class NotebookFolder:
    """Writes notebooks below a folder; a file that somebody else wrote or changed stays as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: dict[str, Path] = {}
        self._texts: dict[Path, str] = {}

    def save(self, notebooks: Notebooks) -> None:
        """Write the notebooks, each under its own path or, where another file has it, with a number.

        Raises:
            BakeError: if the file system does not permit it.
        """
        for path, text in notebooks.texts.items():
            try:
                self._save(path, text)
            except (OSError, ValueError) as error:  # ValueError: of a name that the file system cannot have
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise BakeError(f"{self.path / path} cannot be written ({reason})") from error

    def _save(self, path: str, text: str) -> None:
        mine = self._written.get(path)
        if mine is not None and _text(mine) == self._texts[mine]:  # as it was written: this is a newer one
            if text != self._texts[mine]:
                newer = mine.with_name(f".{mine.name}.new")
                newer.unlink(missing_ok=True)
                _create(newer, text)
                newer.replace(mine)
                self._texts[mine] = text
            return
        plain = self.path / path
        for folder in reversed((plain.parent, *plain.parent.parents)):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        for number in count(1):
            target = plain if number == 1 else plain.with_stem(f"{plain.stem}-{number}")
            with suppress(FileExistsError):
                _create(target, text)
                break
            if _text(target) == text:
                break
        self._written[path], self._texts[target] = target, text


def folder_of(cluster: Cluster, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for a cluster's notebooks, in the user's home."""
    words = [word for word in (cluster.name, cluster.launch_id) if PLAIN.fullmatch(word)]
    return home(environ) / NAME / ("-".join(words) or "unnamed")


def _create(path: Path, text: str) -> None:
    """Write a new file, which only this user can read.

    Raises:
        FileExistsError: if there is a file, or a link.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _text(path: Path) -> str | None:
    with suppress(OSError, ValueError):
        return path.read_bytes().decode(errors="replace")
    return None
