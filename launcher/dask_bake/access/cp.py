"""Copies between this machine and nodes, several at a time: by rsync where both have it, else by sftp."""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from dask_bake.access import rsync, sftp
from dask_bake.access.locations import Copy
from dask_bake.access.nodes import node_name
from dask_bake.errors import BakeError
from dask_bake.ssh.command import Host, run_there, sftp_command
from dask_bake.system.concurrency import gather_bounded
from dask_bake.system.disk import MIB
from dask_bake.system.subprocesses import start, stop

MOST_AT_ONCE = 8
LONGEST_LINE = 8_192
MOST_LINES = 1_000
LITTLE_SPACE = MIB
"""Bytes free on a disk that counts as full after a copy failed."""


@dataclass(frozen=True)
class Progress:
    """Progress of the copy to or from a node, in percent of its bytes."""

    node: int
    percent: int


@dataclass
class Outcome:
    """The copy to or from one node: by which program, the files and bytes that went over, and the error."""

    node: int
    way: str = ""
    files: int = 0
    bytes: int = 0
    error: str | None = None


@dataclass
class Copier:
    """One copy, to or from several nodes of a cluster.

    Args:
        report: called with progress, from several threads.
    """

    cluster: str
    copy: Copy
    hosts: Mapping[int, Host | BakeError]
    report: Callable[[Progress], None]
    _processes: "set[subprocess.Popen[str]]" = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _has_ended: bool = False

    def run(self, *, into_folders: bool) -> tuple[Outcome, ...]:
        """Copy, and return what became of each node; an interrupt stops the programs.

        Args:
            into_folders: whether a download has a folder for each node.
        """

        def task(index: int, host: Host | BakeError) -> Callable[[], Outcome]:
            return lambda: self._one(index, host, into_folders=into_folders)

        try:
            return gather_bounded([task(*item) for item in self.hosts.items()], MOST_AT_ONCE)
        finally:
            with self._lock:
                self._has_ended = True
                running = list(self._processes)
            for process in running:
                stop(process)

    def _one(self, index: int, host: Host | BakeError, *, into_folders: bool) -> Outcome:
        outcome = Outcome(index)
        copy = self.copy
        try:
            if isinstance(host, BakeError):
                raise host
            if into_folders:
                folder = Path(copy.target, node_name(self.cluster, index))
                folder.mkdir(parents=True, exist_ok=True)
                copy = replace(copy, target=str(folder))
            outcome.way = "rsync" if rsync.is_usable(host) else "sftp"
            try:
                (self._by_rsync if outcome.way == "rsync" else self._by_sftp)(copy, host, outcome)
            except BakeError as error:
                raise self._full(copy, host, index) or error from error
        except BakeError as error:
            outcome.error = error.message
        except OSError as error:
            outcome.error = f"{error.filename or copy.target}: {error.strerror}"
        return outcome

    def _by_rsync(self, copy: Copy, host: Host, outcome: Outcome) -> None:
        with tempfile.TemporaryDirectory(prefix="dask-bake-") as folder:
            command = rsync.rsync_command(copy, rsync.write_shell(host, Path(folder)))
            lines: list[str] = []

            def read(line: str) -> None:
                if (seen := rsync.progress(line)) is not None:
                    self.report(Progress(outcome.node, seen[1]))
                elif len(lines) < MOST_LINES:
                    lines.append(line)

            code, complaints = self._follow(command, "", read)
        outcome.files, outcome.bytes = rsync.totals(lines)
        if code:
            raise rsync.failure(complaints, code)

    def _by_sftp(self, copy: Copy, host: Host, outcome: Outcome) -> None:
        plan = sftp.plan_copy(copy, host)
        if not copy.is_upload:
            sftp.make_local_folders(plan)
        done = 0
        sizes = iter([step.size - step.begun for step in plan.steps])
        verb = "sftp> put " if copy.is_upload else "sftp> get "

        def read(line: str) -> None:
            nonlocal done
            if line.startswith(verb):
                self.report(Progress(outcome.node, 100 * done // max(1, plan.size)))
                done += next(sizes, 0)

        batch = sftp.batch(plan, is_upload=copy.is_upload)
        code, complaints = self._follow(sftp_command(host), batch, read) if batch else (0, [])
        arrived = len(plan.steps) if copy.is_upload else sftp.settle(plan)
        if code:
            raise BakeError(complaints[0] if complaints else f"sftp ended with {code}")
        outcome.files, outcome.bytes = arrived, plan.size

    def _follow(self, command: list[str], text: str, read: Callable[[str], None]) -> tuple[int, list[str]]:
        """Run a program with this input, and return its exit code and its messages."""
        complaints: list[str] = []

        def complain(stream: IO[str]) -> None:
            while line := stream.readline(LONGEST_LINE):
                if line.strip() and len(complaints) < MOST_LINES:
                    complaints.append(line.strip())

        with tempfile.TemporaryFile("w+") as given:
            given.write(text)
            given.seek(0)
            try:
                with self._lock:
                    if self._has_ended:
                        raise BakeError("interrupted")
                    process = start(command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    self._processes.add(process)
            except FileNotFoundError as error:
                raise BakeError(f"there is no {command[0]} on this machine") from error
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - they are pipes
        reader = threading.Thread(target=complain, args=(process.stderr,), daemon=True)
        reader.start()
        with process.stdout, process.stderr:
            while line := process.stdout.readline(LONGEST_LINE):
                read(line.rstrip("\n"))
            code = process.wait()
            reader.join()
        with self._lock:
            self._processes.discard(process)
        return code, complaints

    def _full(self, copy: Copy, host: Host, index: int) -> BakeError | None:
        """Return the error if the copy failed because the disk that it goes to is full."""
        if copy.is_upload:
            path = sftp.shell_quoted(copy.target)
            words = ["sh", "-c", f"df -P -k {path} 2>/dev/null || df -P -k ."]
            fields = (run_there(host, words).stdout.strip().splitlines() or [""])[-1].split()
            free = int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None
            where = node_name(self.cluster, index)
        else:
            existing = next(
                path for path in (Path(copy.target), *Path(copy.target).absolute().parents) if path.exists()
            )
            free, where = shutil.disk_usage(existing).free, "this machine"
        if free is None or free >= LITTLE_SPACE:
            return None
        return BakeError(f"the disk of {where} is full: {free // 1024} kB are free where {copy.target} is")
