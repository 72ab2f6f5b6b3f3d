"""Sources and target of ``dask-bake cp``: paths of this machine, and ``NAME/3:path``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dask_bake.errors import UsageError
from dask_bake.options.values import quoted

REMOTE = re.compile(
    r"(?P<name>[a-z][a-z0-9-]{0,31})?(?:(?:^|/)(?P<node>[0-9]{1,6}))?:(?P<path>.*)", re.DOTALL
)
"""``NAME:path``, ``NAME/3:path``, ``3:path`` or ``:path``; another path with a colon begins with ./."""
HINT = "one side is on this machine, the other NAME:path or NAME/3:path"


@dataclass(frozen=True)
class Remote:
    """A path on a node; without a name, the only cluster; a relative path is below the login user's home."""

    name: str | None
    node: int | None
    path: str


@dataclass(frozen=True)
class Copy:
    """A copy in one of the two directions.

    Args:
        is_upload: whether ``sources`` are on this machine, and ``target`` on a node.
    """

    sources: tuple[str, ...]
    target: str
    is_upload: bool
    name: str | None
    node: int | None


def parse_copy(words: Sequence[str], node: int | None = None) -> Copy:
    """Parse ``SRC… DEST``; ``node`` is that of ``--node``.

    Raises:
        UsageError: if not exactly one of the two sides is on a node, or if several nodes are named.
    """
    if len(words) < 2:
        raise UsageError("cp needs something to copy, and where to", hint="dask-bake cp FILE taxi:")
    if bad := next((word for word in words if not word or "\0" in word or "\n" in word), None):
        raise UsageError(f"{quoted(bad)} is no path that can be copied", hint="rename it, or copy its folder")
    if "" in words:
        raise UsageError("'' is no path", hint="the current folder is . and the node's home taxi:")
    parsed = [_parse(word) for word in words]
    remote = [each for each in parsed if isinstance(each, Remote)]
    is_upload = isinstance(parsed[-1], Remote)
    if len(remote) != (1 if is_upload else len(words) - 1):
        raise UsageError(_trouble(len(remote), len(words)), hint=HINT)
    names = {each.name for each in remote}
    nodes: set[int | None] = {each.node for each in remote}
    if node is not None:
        nodes = (nodes - {None}) | {node}
    if len(names) > 1 or len(nodes) > 1:
        raise UsageError("all of it has to be on one node", hint="copy from one node after the other")
    paths = [each.path if isinstance(each, Remote) else each for each in parsed]
    sources = tuple(path.rstrip("/") or ("/" if path.startswith("/") else ".") for path in paths[:-1])
    return Copy(sources, paths[-1] or ".", is_upload, names.pop(), nodes.pop())


def _parse(word: str) -> Remote | str:
    match = REMOTE.fullmatch(word)
    if match is None:
        return word
    path = match["path"].removeprefix("~/")
    return Remote(
        match["name"], None if match["node"] is None else int(match["node"]), "" if path == "~" else path
    )


def _trouble(remote: int, words: int) -> str:
    if not remote:
        return "cp copies to or from a node, and neither side is on one"
    return "both sides are on nodes" if remote == words else "only a part of it is on a node"
