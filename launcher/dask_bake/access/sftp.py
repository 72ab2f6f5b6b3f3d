"""Copies by sftp, where rsync is missing: files that broke off are continued, those that are there are kept.

A file is copied to a hidden one beside its place, whose name has its size and its time: a part of another
version is never continued. Links are not copied.
"""

import hashlib
import os
import shlex
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dask_bake.access.locations import Copy
from dask_bake.errors import BakeError
from dask_bake.ssh.command import Host, run_there

PART = ".dask-bake-part"
PLAIN = frozenset(string.ascii_letters + string.digits + "_./-+@%,=:")
GLOB = frozenset("*?[]!")
FORMAT = r"%y\t%s\t%T@\t%H\t%P\0"
LIST_TIMEOUT = 120.0
MOST_FILES = 100_000


@dataclass(frozen=True)
class Entry:
    """A file or a folder below one of the paths that are copied.

    Args:
        start: the path that was named.
        below: the path from there; "" for itself.
    """

    start: str
    below: str
    is_folder: bool
    size: int = 0
    time: int = 0

    @property
    def path(self) -> str:
        """Return the whole path."""
        return f"{self.start}/{self.below}" if self.below else self.start


@dataclass(frozen=True)
class Step:
    """The copy of one file: its source, its place, and the hidden file beside that.

    Args:
        begun: bytes that are in the hidden file already.
    """

    source: str
    place: str
    part: str
    size: int
    begun: int


@dataclass(frozen=True)
class SftpPlan:
    """The folders to make and the files to copy."""

    folders: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def size(self) -> int:
        """Return the bytes that are to be copied."""
        return sum(step.size - step.begun for step in self.steps)


def plan_copy(copy: Copy, host: Host) -> SftpPlan:
    """Look up what is on this machine and on the node, and return what is to be copied."""
    if copy.is_upload:
        sources = [entry for path in copy.sources for entry in walk(path)]
        is_folder, there = remote_state(host, copy, sources)
    else:
        sources = remote_entries(host, copy.sources)
        is_folder, there = local_state(copy, sources)
    return make_plan(sources, copy.target, there, is_folder=is_folder)


def make_plan(
    sources: Sequence[Entry], target: str, there: dict[str, tuple[int, int]], *, is_folder: bool
) -> SftpPlan:
    """Return what is to be copied.

    Args:
        there: size and time of the files that may be at the target already, by path.
        is_folder: whether the target is a folder.
    """
    is_single = len(sources) == 1 and not sources[0].is_folder
    into = is_folder or target.endswith("/") or not is_single
    folders = [] if is_folder or not into else [target.rstrip("/")]
    steps = []
    for entry in sources:
        place = place_of(entry, target, into=into)
        if entry.is_folder:
            folders.append(place)
        elif there.get(place) != (entry.size, entry.time):
            part = part_of(place, entry)
            begun = there.get(part, (0, 0))[0]
            steps.append(Step(entry.path, place, part, entry.size, begun if begun <= entry.size else 0))
    return SftpPlan(tuple(folders), tuple(steps))


def place_of(entry: Entry, target: str, *, into: bool) -> str:
    """Return where the entry goes: below the target by its own name, or to the target itself."""
    if not into:
        return target
    name = PurePosixPath(entry.start).name
    return str(PurePosixPath(target, name, entry.below))


def part_of(place: str, entry: Entry) -> str:
    """Return the hidden file in which the entry arrives."""
    key = hashlib.sha256(f"{entry.size} {entry.time} {entry.path}".encode(errors="surrogateescape"))
    path = PurePosixPath(place)
    return str(path.with_name(f".{path.name[:150]}.{key.hexdigest()[:12]}{PART}"))


def batch(plan: SftpPlan, *, is_upload: bool) -> str:
    """Return sftp's commands: the first that fails ends it."""
    lines = [f"-mkdir {_quoted(folder)}" for folder in plan.folders] if is_upload else []
    for step in plan.steps:
        resumed = " -a" if 0 < step.begun < step.size else ""
        if step.begun < step.size or not step.size:
            verb = "put" if is_upload else "get"
            lines.append(f"{verb} -p{resumed} {_quoted(step.source)} {_quoted(step.part)}")
        if is_upload:
            lines.append(f"rename {_quoted(step.part)} {_quoted(step.place)}")
    return "".join(f"{line}\n" for line in lines)


def make_local_folders(plan: SftpPlan) -> None:
    """Make the folders of a download."""
    for folder in plan.folders:
        Path(folder).mkdir(parents=True, exist_ok=True)


def settle(plan: SftpPlan) -> int:
    """Give the files of a download that have arrived whole their names; return how many."""
    count = 0
    for step in plan.steps:
        part = Path(step.part)
        if part.is_file() and part.stat().st_size == step.size:
            part.replace(step.place)
            count += 1
    return count


def walk(path: str) -> Iterable[Entry]:
    """Yield the files and folders at a path of this machine."""
    top = Path(path)
    if not top.exists():
        raise BakeError(f"there is no {path} on this machine")
    if not top.is_dir():
        yield _local(path, "")
        return
    for folder, _, files in os.walk(path):
        below = os.path.relpath(folder, path)
        below = "" if below == "." else below
        yield Entry(path, below, is_folder=True)
        for name in files:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink() and not name.endswith(PART):
                yield _local(path, f"{below}/{name}" if below else name)


def remote_entries(host: Host, paths: Sequence[str]) -> list[Entry]:
    """Return the files and folders at paths of a node, whose globs its shell expands."""
    found = _find(host, [glob_quoted(path) for path in paths])
    entries = [entry for entry in found if not entry.path.endswith(PART)]
    starts = [PurePosixPath(entry.start).name for entry in entries if not entry.below]
    if wrong := next((each for each in entries if not _is_plain(each)), None):
        raise BakeError(f"the node lists a path that cannot be used: {wrong.path[:100]!r}")
    if len(set(starts)) < len(starts):
        raise BakeError("two of the files have the same name", hint="copy them one after the other")
    return entries


def remote_state(host: Host, copy: Copy, sources: Sequence[Entry]) -> tuple[bool, dict[str, tuple[int, int]]]:
    """Return whether the target is a folder of the node, and the files there that may be of this copy."""
    target = shell_quoted(copy.target)
    tested = run_there(host, ["sh", "-c", f"test -d {target}"])
    if tested.returncode > 1:
        raise BakeError((tested.stderr.strip().splitlines() or ["no answer"])[0])
    is_folder = tested.returncode == 0
    is_single = len(sources) == 1 and not sources[0].is_folder
    into = is_folder or copy.target.endswith("/") or not is_single
    starts = {entry.start: entry for entry in sources if not entry.below}.values()
    places = [(entry, place_of(entry, copy.target, into=into)) for entry in starts]
    paths = [place for _, place in places]
    paths += [part_of(place, entry) for entry, place in places if not entry.is_folder]
    found = _find(host, [shell_quoted(path) for path in paths], are_there=False)
    return is_folder, {entry.path: (entry.size, entry.time) for entry in found if not entry.is_folder}


def local_state(copy: Copy, sources: Sequence[Entry]) -> tuple[bool, dict[str, tuple[int, int]]]:
    """Return whether the target is a folder of this machine, and the files there that may be of this copy."""
    target = Path(copy.target)
    is_single = len(sources) == 1 and not sources[0].is_folder
    into = target.is_dir() or copy.target.endswith("/") or not is_single
    there = {}
    for entry in sources:
        place = place_of(entry, copy.target, into=into)
        for path in (place, part_of(place, entry)):
            if not entry.is_folder and Path(path).is_file():
                status = Path(path).stat()
                there[path] = (status.st_size, int(status.st_mtime))
    return target.is_dir(), there


def glob_quoted(path: str) -> str:
    """Return a path for a shell that expands its globs and nothing else."""
    text = path if path.startswith("/") else f"./{path}"
    return "".join(each if each in PLAIN or each in GLOB else f"\\{each}" for each in text)


def shell_quoted(path: str) -> str:
    """Return a path for a shell that expands nothing of it."""
    return shlex.quote(path if path.startswith("/") else f"./{path}")


def _find(host: Host, paths: Sequence[str], *, are_there: bool = True) -> list[Entry]:
    done = run_there(host, ["sh", "-c", f"find {' '.join(paths)} -printf '{FORMAT}'"], LIST_TIMEOUT)
    if are_there and done.returncode:
        lines = done.stderr.strip().splitlines() or ["no answer"]
        raise BakeError(lines[0].removeprefix("find: "))
    records = done.stdout.split("\0")[:-1]
    if len(records) > MOST_FILES:
        raise BakeError(f"these are more than {MOST_FILES} files", hint="pack them, or install rsync")
    found = [_entry(record) for record in records]
    return [entry for entry in found if entry is not None]


def _entry(record: str) -> Entry | None:
    fields = record.split("\t", 4)
    if len(fields) != 5 or fields[0] not in ("f", "d") or not fields[1].isdigit():
        return None
    start = fields[3].removeprefix("./") or "."
    time = fields[2].partition(".")[0]
    return Entry(
        start,
        fields[4],
        fields[0] == "d",
        int(fields[1]) if fields[0] == "f" else 0,
        int(time) if time.isdigit() else 0,
    )


def _is_plain(entry: Entry) -> bool:
    """Return whether the node's path stays below the target, and can be written into a batch."""
    parts = PurePosixPath(entry.below).parts
    name = PurePosixPath(entry.start).name
    return ".." not in (*parts, name) and not entry.below.startswith("/") and "\n" not in entry.path


def _local(start: str, below: str) -> Entry:
    status = Path(start, below).stat()
    return Entry(start, below, is_folder=False, size=status.st_size, time=int(status.st_mtime))


def _quoted(path: str) -> str:
    """Return a path for sftp's batch; within quotes sftp expands no globs."""
    text = path if not path.startswith("-") else f"./{path}"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
