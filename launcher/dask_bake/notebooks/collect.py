"""The head's notebooks, as its program ``notebooks`` prints them; nothing that it prints is believed."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dask_bake.errors import BakeError
from dask_bake.models.cloud import Connect
from dask_bake.models.cluster import Cluster
from dask_bake.ssh.command import Host, run_there
from dask_bake.ssh.tunnel import is_ssh_server
from dask_bake.system.text import is_safe, printable

PROGRAM = "/usr/libexec/dask-bake/notebooks"
TIMEOUT = 20.0
"""Seconds for the head to find its notebooks and to send them."""
OUTPUT_LIMIT = 60_000_000
"""Bytes of the program's output, which is compressed."""
TEXT_LIMIT = 100_000_000
"""Bytes of the same, decompressed."""
MOST_FILES = 500
LONGEST_PATH = 400
LONGEST_NAME = 200
"""Bytes: file systems take 255, and a number may be added to the name."""
SUFFIX = ".ipynb"


@dataclass(frozen=True)
class Notebooks:
    """Notebooks of a head: paths below its home, and texts.

    Args:
        left: paths of those that are too large, or that cannot be read or saved.
        is_complete: whether the whole home was searched.
    """

    texts: Mapping[str, str]
    left: tuple[str, ...] = ()
    is_complete: bool = True

    @property
    def trouble(self) -> str:
        """Why there may be more notebooks; empty if there are none."""
        return "" if self.is_complete else "its home has too many files to look at each"


def collect(cluster: Cluster, reached: Host) -> Notebooks:
    """Return the notebooks that were changed on the head since the launch.

    Raises:
        BakeError: if the head does not answer, or cannot tell.
    """
    if cluster.transport is Connect.DIRECT and not is_ssh_server(reached.address):
        raise BakeError(f"nothing answers at {reached.address} port 22")
    done = run_there(reached, [PROGRAM], TIMEOUT, limit=OUTPUT_LIMIT)
    if done.returncode:
        lines = printable(done.stderr, keep="\n").strip().splitlines() or ["the connection broke"]
        raise BakeError(lines[-1][:200])
    return parse(done.stdout)


def parse(output: str) -> Notebooks:
    """Return the notebooks from the program's output.

    Raises:
        BakeError: if it is none of its.
    """
    try:
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)
        text = inflate.decompress(base64.b64decode(output.strip(), validate=True), TEXT_LIMIT)
        document: Any = json.loads(text)
        texts, left = dict(document["notebooks"]), list(document["left"])
        is_complete = document["is_complete"] is True
    except (ValueError, LookupError, TypeError, zlib.error, RecursionError) as error:
        raise BakeError(f"the head's answer is not a list of notebooks ({type(error).__name__})") from error
    first = list(texts.items())[:MOST_FILES]
    good = {path: text.encode(errors="replace").decode() for path, text in first if is_good(path, text)}
    others = [path for path in (*texts, *left) if path not in good]
    return Notebooks(
        texts=good,
        left=tuple(printable(str(path), keep="")[:LONGEST_PATH] for path in others[:MOST_FILES]),
        is_complete=is_complete and len(others) <= MOST_FILES,
    )


def is_good(path: Any, text: Any) -> bool:
    """Return whether a notebook can be saved below a folder, under this path."""
    if not (isinstance(path, str) and isinstance(text, str) and path.endswith(SUFFIX)):
        return False
    parts = path.split("/")
    return (
        len(path) <= LONGEST_PATH
        and all(map(is_safe, path))
        and all(part.strip(". ") and len(part.encode()) <= LONGEST_NAME for part in parts)
        and not any(part.startswith(".") or "\\" in part for part in parts)
    )
