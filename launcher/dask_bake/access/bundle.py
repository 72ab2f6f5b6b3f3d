"""A bundle of logs for a bug report: a file for each node and source, with secrets struck out."""

import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dask_bake.access.logs import NodeLog
from dask_bake.access.nodes import node_name
from dask_bake.access.records import Record, Source
from dask_bake.access.redact import redact
from dask_bake.errors import BakeError, UsageError
from dask_bake.options.values import quoted
from dask_bake.system.files import PACKED_AT, replace_file
from dask_bake.system.subprocesses import run_with_timeout

COMPRESSIONS = {".tar.zst": "zst", ".tar.gz": "gz", ".tar.xz": "xz", ".tar": ""}
ZSTD_TIMEOUT = 30.0


def compression_of(path: Path) -> str:
    """Return the compression that the file's name asks for; raise for another name."""
    for suffix, kind in COMPRESSIONS.items():
        if path.name.endswith(suffix) and path.name != suffix:
            return kind
    raise UsageError(
        f"{quoted(str(path))} is no name of a bundle", hint=f"its end is one of {', '.join(COMPRESSIONS)}"
    )


def files(cluster: str, logs: Sequence[NodeLog], about: object) -> dict[str, str]:
    """Return the bundle's files by name, with secrets struck out."""
    found = {"about.json": redact(json.dumps(about, indent=2)) + "\n"}
    for log in logs:
        ended = "" if log.node.is_live else f"-{log.node.id}"
        folder = node_name(cluster, log.node.index) + ended
        texts = {
            str(source): "\n".join(line(record) for record in log.records if record.source is source)
            for source in Source
        }
        texts["facts"], texts["trouble"] = log.facts, log.trouble
        found |= {f"{folder}/{name}.txt": f"{redact(text)}\n" for name, text in texts.items() if text}
    return found


def line(record: Record) -> str:
    """Return a record as a line of a file."""
    return f"{datetime.fromtimestamp(record.time, UTC):%Y-%m-%dT%H:%M:%S.%fZ} {record.text}"


def save(path: Path, content: Mapping[str, str]) -> None:
    """Write the bundle, for its owner to read.

    Raises:
        BakeError: if it cannot be written, or this machine has no zstd for it.
    """
    kind = compression_of(path)
    name = path.name.partition(".tar")[0]
    packed = io.BytesIO()
    mode = f"w:{kind if kind != 'zst' else ''}"
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for inner, text in content.items():
            data = text.encode(errors="replace")
            member = tarfile.TarInfo(f"{name}/{inner}")
            member.size, member.mtime = len(data), PACKED_AT
            archive.addfile(member, io.BytesIO(data))
    try:
        replace_file(path, _zstd(packed.getvalue()) if kind == "zst" else packed.getvalue())
    except OSError as error:
        raise BakeError(f"{path} could not be written: {error.strerror}", hint="save it elsewhere") from error


def _zstd(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="dask-bake-") as folder:
        plain, packed = Path(folder, "bundle.tar"), Path(folder, "bundle.tar.zst")
        plain.write_bytes(content)
        try:
            done = run_with_timeout(["zstd", "--quiet", "-o", str(packed), str(plain)], ZSTD_TIMEOUT)
        except FileNotFoundError as error:
            raise BakeError(
                "there is no zstd on this machine", hint="apt install zstd, or save it as .tar.gz"
            ) from error
        if done.returncode:
            raise BakeError(f"zstd failed: {done.stderr.strip()}", hint="save it as .tar.gz")
        return packed.read_bytes()
