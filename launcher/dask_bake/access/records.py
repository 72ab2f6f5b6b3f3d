"""Log records: lines of a node's journal or console, with the node, the source and the time."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from dask_bake.access.nodes import node_name
from dask_bake.ssh.host_keys import CONTROL
from dask_bake.system.text import printable

LONGEST_TEXT = 4_000
"""Characters of a line that are kept."""
MOST_RECORDS = 50_000
"""Records of a node that are kept: the last ones."""
UPTIME = re.compile(r"\[ *([0-9]{1,9}\.[0-9]{1,9})\]")
"""The kernel's time stamp: seconds since the boot."""
CLOUD_INIT_UNITS = (
    "cloud-init-local.service",
    "cloud-init-main.service",
    "cloud-init-network.service",
    "cloud-init.service",
    "cloud-config.service",
    "cloud-final.service",
)
FAILED_STAGES = tuple(
    f"dask-bake-failed@{unit.removesuffix('.service')}.service" for unit in CLOUD_INIT_UNITS
)
DASK_UNITS = (
    "dask-scheduler.service",
    "dask-worker.service",
    "dask-bake-credentials.service",
    "dask-bake-host-key.service",
    "dask-bake-host-key-again.service",
    "dask-bake-lifetime.service",
    "dask-bake-watch.service",
    "dask-jupyter.service",
    "dask-jupyter-proxy.service",
    *FAILED_STAGES,
)


class Source(StrEnum):
    """Source of a line."""

    CONSOLE = "console"
    CLOUD_INIT = "cloud-init"
    DASK = "dask"
    KERNEL = "kernel"


SOURCE_WIDTH = max(map(len, Source))
JOURNAL = (Source.CLOUD_INIT, Source.DASK, Source.KERNEL)
"""The sources that a node's journal has; the console is read from EC2."""


@dataclass(frozen=True)
class Record:
    """One line: its time in seconds since 1970, the node's number, the source, and plain text."""

    time: float
    node: int
    source: Source
    text: str


def log_line(record: Record, cluster: str, width: int) -> str:
    """Return a record as a line: time, node, source, text; ``width`` is that of the names of nodes."""
    when = datetime.fromtimestamp(record.time, UTC)
    name = node_name(cluster, record.node)
    return f"{when:%m-%d %H:%M:%S} {name:{width}} {record.source:{SOURCE_WIDTH}} | {record.text}"


def record_document(record: Record) -> dict[str, Any]:
    """Return a record for ``--json``."""
    when = datetime.fromtimestamp(record.time, UTC)
    return {
        "time": when.isoformat(timespec="microseconds"),
        "node": record.node,
        "source": str(record.source),
        "text": record.text,
    }


def journal_command(
    sources: Iterable[Source], *, lines: int | None = None, since: int | None = None, follow: bool = False
) -> list[str]:
    """Return the command that prints these sources of a node's journal as JSON.

    Args:
        lines: only so many, the last ones.
        since: only those of so many last seconds.
    """
    matches: list[list[str]] = []
    for source in sources:
        if source is Source.KERNEL:
            matches.append(["_TRANSPORT=kernel"])
        units = {Source.CLOUD_INIT: CLOUD_INIT_UNITS, Source.DASK: DASK_UNITS}.get(source, ())
        for unit in units:  # its own lines, and systemd's about it
            matches += [[f"_SYSTEMD_UNIT={unit}"], [f"UNIT={unit}", "_PID=1"]]
    limits = ([f"--lines={lines}"] if lines is not None else []) + (
        [f"--since=-{since}s"] if since is not None else []
    )
    joined = [word for match in matches for word in ("+", *match)][1:]
    fields = "--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT,_TRANSPORT"
    return [
        *("journalctl", "--no-pager", "--quiet", "--output=json", fields),
        *limits,
        *(["--follow"] if follow else []),
        *joined,
    ]


def journal_records(node: int, line: str) -> tuple[Record, ...]:
    """Return the records of one line of the journal's JSON; none if it is something else."""
    try:
        document = json.loads(line)
        time = int(document["__REALTIME_TIMESTAMP"]) / 1e6
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return ()
    unit = str(document.get("_SYSTEMD_UNIT", "")) + str(document.get("UNIT", ""))
    if document.get("_TRANSPORT") == "kernel":
        source = Source.KERNEL
    else:
        source = Source.CLOUD_INIT if any(each in unit for each in CLOUD_INIT_UNITS) else Source.DASK
        source = Source.DASK if "dask-" in unit else source
    text = _message(document.get("MESSAGE"))
    return tuple(Record(time, node, source, each) for each in plain_lines(text))


def console_records(node: int, console: str, launched: datetime) -> tuple[Record, ...]:
    """Return the lines of a console; their times are those of the kernel, or of the line before."""
    time, found = launched.timestamp(), []
    for text in plain_lines(console):
        if (stamp := UPTIME.search(text)) is not None:
            time = max(time, launched.timestamp() + float(stamp[1]))
        found.append(Record(time, node, Source.CONSOLE, text))
    return tuple(found[-MOST_RECORDS:])


def merged(records: Iterable[Record]) -> list[Record]:
    """Return the records in the order of their times; those of one time stay in their order."""
    return sorted(records, key=lambda record: record.time)


def plain_lines(text: str) -> Iterator[str]:
    """Yield the lines of a text that are not empty, without control characters and not too long."""
    for line in text.splitlines():
        if plain := printable(CONTROL.sub("", line[: 4 * LONGEST_TEXT]).rstrip(), keep="\t")[:LONGEST_TEXT]:
            yield plain


def _message(message: Any) -> str:
    """Return the text of a message, which is a list of bytes if it is not UTF-8."""
    if isinstance(message, list):
        numbers = [each for each in message if isinstance(each, int) and 0 <= each < 256]
        return bytes(numbers).decode(errors="replace")
    return message if isinstance(message, str) else ""
