"""Logs of clusters that were ended, kept on this machine for seven days."""

import gzip
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dask_bake.access.logs import MOST_AT_ONCE, LogRequest, NodeLog, all_records, read_node
from dask_bake.access.records import Record, Source
from dask_bake.clusters.condition import is_valid
from dask_bake.ec2.protocols import ClusterQueries
from dask_bake.errors import BakeError, UsageError
from dask_bake.hints import command_line
from dask_bake.models.cluster import Cluster, Node
from dask_bake.ssh.command import Host
from dask_bake.ssh.keystore import keystores_home
from dask_bake.system.concurrency import BackgroundCall, gather_bounded
from dask_bake.system.files import make_private, replace_file

KEPT_FOR = 7 * 86_400
"""Seconds for which the logs are kept."""
TIME_TO_KEEP = 2.5
"""Seconds by which ``down`` may be later for them."""
LINES = 1_000
"""Lines of each node that are kept."""
MOST_NODES = 32
MOST_TEXT = 4_000_000
"""Characters that are kept of a cluster: the last ones."""
SUFFIX = ".jsonl.gz"


@dataclass(frozen=True)
class EndedCluster:
    """The logs of a cluster that was ended."""

    name: str
    cloud: str
    region: str
    ended: datetime
    records: tuple[Record, ...]


def folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the logs."""
    return keystores_home(environ) / "ended"


def keep(
    cluster: Cluster,
    hosts: Callable[[], Mapping[int, Host | BakeError]],
    ec2: ClusterQueries,
    environ: Mapping[str, str],
    *,
    seconds: float = TIME_TO_KEEP,
    now: Callable[[], float] = time.time,
) -> bool:
    """Keep the logs of a cluster that is about to end, as far as they come in time; nothing fails by it.

    Returns:
        whether something was kept.
    """
    nodes = cluster.known_nodes[:MOST_NODES]
    if not nodes or not is_valid(cluster):
        return False
    deadline = time.monotonic() + seconds
    found: dict[int, NodeLog] = {}

    def read() -> None:
        try:
            reached = hosts()
        except BakeError as error:
            reached = dict.fromkeys((node.index for node in nodes), error)
        gather_bounded([_reader(node, reached, ec2, deadline, found) for node in nodes], MOST_AT_ONCE)

    with suppress(Exception):  # not even a defect here may keep a cluster from being ended
        BackgroundCall(read).result_within(seconds)
    records = all_records([found[index] for index in sorted(found)])
    if not records:
        return False
    with suppress(OSError, BakeError):
        _write(cluster, records, environ, now())
        return True
    return False


def _reader(
    node: Node,
    hosts: Mapping[int, Host | BakeError],
    ec2: ClusterQueries,
    deadline: float,
    found: dict[int, NodeLog],
) -> Callable[[], None]:
    def read() -> None:
        left = deadline - time.monotonic()
        if left > 0:
            host = hosts.get(node.index) if node.is_up else None
            found[node.index] = read_node(node, host, ec2, LogRequest(lines=LINES), left)

    return read


def _write(cluster: Cluster, records: Sequence[Record], environ: Mapping[str, str], now: float) -> None:
    home = folder(environ)
    make_private(home.parent.resolve())
    make_private(home.resolve())
    forget_old(environ, now)
    header = {"name": cluster.name, "cloud": cluster.cloud, "region": cluster.region, "ended": now}
    lines, size = [], 0
    for record in reversed(records):
        line = json.dumps([record.time, record.node, record.source, record.text])
        size += len(line)
        if size > MOST_TEXT:
            break
        lines.append(line)
    text = "\n".join([json.dumps(header), *reversed(lines)])
    path = home / f"{cluster.cloud}-{cluster.region}-{cluster.name}-{cluster.launch_id}{SUFFIX}"
    replace_file(path, gzip.compress(text.encode(), 6))


def forget_old(environ: Mapping[str, str], now: float) -> None:
    """Remove the logs that are older than seven days."""
    for path in folder(environ).glob(f"*{SUFFIX}"):
        with suppress(OSError):
            if now - path.stat().st_mtime > KEPT_FOR:
                path.unlink()


def find_ended(name: str | None, environ: Mapping[str, str], now: float) -> EndedCluster:
    """Return the logs of the cluster of that name that was ended last; without a name, of the only one.

    Raises:
        UsageError: if there are none, or without a name several.
    """
    forget_old(environ, now)
    headers = {path: header for path in _paths(environ) if (header := _header(path)) is not None}
    names = sorted({header["name"] for header in headers.values()})
    chosen = [path for path in headers if name is None or headers[path]["name"] == name]
    if name is None and len(names) > 1:
        raise UsageError(
            f"logs are kept of several clusters: {', '.join(names)}",
            hint=f"name one of them: {command_line('logs', names[0], '--ended')}",
        )
    if not chosen:
        raise UsageError(
            f"no logs are kept of {f'a cluster {name}' if name else 'clusters'} that has ended",
            hint="dask-bake down keeps them for seven days on the machine where it runs",
        )
    return _load(max(chosen, key=lambda path: headers[path]["ended"]))


def has_ended_logs(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether logs of a cluster of that name are kept."""
    return any(header is not None and header["name"] == name for header in map(_header, _paths(environ)))


def _paths(environ: Mapping[str, str]) -> list[Path]:
    return sorted(folder(environ).glob(f"*{SUFFIX}"))


def _header(path: Path) -> dict[str, Any] | None:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            header = json.loads(file.readline(10_000))
        texts = all(isinstance(header[key], str) for key in ("name", "cloud", "region"))
        return header if texts and isinstance(header["ended"], int | float) else None
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _load(path: Path) -> EndedCluster:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            header = json.loads(file.readline(10_000))
            records = [json.loads(line) for line in file]
        return EndedCluster(
            header["name"],
            header["cloud"],
            header["region"],
            datetime.fromtimestamp(header["ended"], UTC),
            tuple(
                Record(float(when), int(node), Source(source), str(text))
                for when, node, source, text in records
            ),
        )
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise BakeError(f"{path} cannot be read: {error}", hint="remove it") from error
