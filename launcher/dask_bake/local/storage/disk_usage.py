"""How much room trees take on disk."""

import os
from collections.abc import Iterable
from pathlib import Path

BLOCK = 512
"""The unit of ``st_blocks`` (stat(3type)), whatever the file system's own is."""


def bytes_on_disk(trees: Iterable[Path]) -> int:
    """What ``du`` would say of them: links are not followed, and a file of several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for tree in trees:
        for folder, _, names in os.walk(tree):
            for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118 - many
                status = os.lstat(path)
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * BLOCK
    return total
