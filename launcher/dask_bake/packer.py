"""Runs Packer through packer-py: a template and its variables to an image's id."""

import json
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import psutil  # type: ignore[import-untyped]
from packerpy import PackerExecutable

from dask_bake.disk import room_in
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.packer_output import START, Progress, parse
from dask_bake.phases import Phases

Version = tuple[int, ...]

MINIMUM: Version = (1, 6, 6)
INIT_SINCE: Version = (1, 7, 0)
HINT = "Debian: sudo apt install packer; elsewhere: see Packer's own installation page"
LOG_SIZE = 10 << 20
# How long a Packer that got the terminal's Ctrl-C takes, at most, to say so.
HEARD_WITHIN = 1.0
SETTINGS = {"CHECKPOINT_DISABLE": "1"}


def find_packer(*, log: Path, cache: Path, path: str | None = None) -> "Packer":
    """The Packer on PATH, if it is new enough; its full output will be in the log."""
    executable = shutil.which("packer", path=path)
    if executable is None:
        raise BakeError("Packer is not installed", hint=HINT)
    version = _version(executable)
    if version < MINIMUM:
        raise BakeError(f"{executable} is Packer {_dotted(version)}; {_dotted(MINIMUM)} is needed", hint=HINT)
    return Packer(executable, version, log=log, cache=cache)


class Packer:
    """A Packer that is there."""

    def __init__(
        self,
        executable: str,
        version: Version,
        *,
        log: Path,
        cache: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version = version
        self._executable = executable
        self._log = log
        self._cache = cache
        self._clock = clock

    def init(self, plugins: Path, notify: Notify) -> None:
        """The plugins are installed, with the Packers that do not bring them along."""
        if self.version >= INIT_SINCE:
            progress = Progress(Phases(notify, self._clock), notify)
            code = self._run("init", plugins, {}, progress, {})
            self._check(code, progress)

    def build(
        self, template: Path, variables: Mapping[str, object], environment: Mapping[str, str], notify: Notify
    ) -> str:
        """The id of the image that was built; Packer has always ended and tidied up before this returns."""
        phases = Phases(notify, self._clock)
        progress = Progress(phases, notify)
        phases.enter(START)
        try:
            with _variable_file(variables) as file:
                code = self._run("build", template, {"var-file": str(file)}, progress, environment)
        finally:
            phases.leave()
        self._check(code, progress)
        if progress.image_id is None:
            raise BakeError("Packer ended well but named no image", hint=f"its full output is in {self._log}")
        return progress.image_id

    def _run(
        self,
        command: str,
        template: Path,
        options: Mapping[str, str],
        progress: Progress,
        environment: Mapping[str, str],
    ) -> int:
        settings = {**SETTINGS, "PACKER_LOG": "", "PACKER_CACHE_DIR": str(self._cache), **environment}
        with room_in(self._log.parent, needed=LOG_SIZE), _opened(self._log) as log, _environment(settings):
            child = _Child(self._executable, command, template, options)
            try:
                for record in child.records():
                    _keep(log, record)
                    progress.see(record)
            except BaseException:
                self._end(child, progress, log)
                raise
            return child.code

    def _end(self, child: "_Child", progress: Progress, log: TextIO) -> None:
        """Packer has tidied up. A terminal's Ctrl-C reached it too; told twice, it would leave everything."""
        told_by = self._clock() + HEARD_WITHIN
        told = False
        while (record := child.next(timeout=0.1)) is not None:
            with suppress(OSError):
                _keep(log, record)
                progress.see(record)
            if not (told or progress.cancelled) and self._clock() > told_by:
                told = True
                child.terminate()

    def _check(self, code: int, progress: Progress) -> None:
        if code:
            reason = progress.reason or f"exit code {code}"
            raise BakeError(
                "\n".join(
                    [f"{progress.step} failed: {reason}", *(f"  {line}" for line in progress.last_lines)]
                ),
                hint=f"the full output is in {self._log}",
            )


class _Child:
    """A running packer-py: it waits for Packer in a thread of its own, so that Ctrl-C cannot cut it short."""

    def __init__(self, executable: str, command: str, template: Path, options: Mapping[str, str]) -> None:
        self.code = -1
        self._executable = executable
        self._records: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reading, self._writing = os.pipe()
        self._reader = threading.Thread(target=self._read, args=(reading,), name="packer-output")
        self._waiter = threading.Thread(target=self._wait, args=(command, template, options), name="packer")
        self._reader.start()
        self._waiter.start()

    def records(self) -> Iterator[str]:
        """Each record as it comes, until Packer has ended."""
        while (record := self._records.get()) is not None:
            yield record
        self._join()

    def next(self, *, timeout: float) -> str | None:
        """The next record, or an empty one if there is none yet, or None when Packer has ended."""
        try:
            record = self._records.get(timeout=timeout)
        except queue.Empty:
            return ""
        if record is None:
            self._join()
        return record

    def terminate(self) -> None:
        """Packer is told to tidy up and end: it hands SIGTERM on to its own child, but not SIGINT."""
        for process in psutil.Process().children():
            with suppress(psutil.Error):
                if self._executable in process.cmdline():
                    process.send_signal(signal.SIGTERM)

    def _join(self) -> None:
        self._waiter.join()
        self._reader.join()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                self._records.put(line)
        self._records.put(None)

    def _wait(self, command: str, template: Path, options: Mapping[str, str]) -> None:
        try:
            config = {"stdout": self._writing, "stderr": self._writing}
            packer = PackerExecutable(self._executable, config=config)
            self.code, _, _ = packer.execute_cmd(command, str(template), **options)
        finally:
            os.close(self._writing)


@contextmanager
def _variable_file(variables: Mapping[str, object]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "variables.json")
        file.write_text(json.dumps(variables))
        yield file


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """packer-py has no way to give Packer an environment but our own."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _opened(log: Path) -> Iterator[TextIO]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        yield file


def _keep(log: TextIO, record: str) -> None:
    if record:
        log.write(f"{parse(record).text}\n")
        log.flush()


def _version(executable: str) -> Version:
    with _environment(SETTINGS):
        _, output, _ = PackerExecutable(executable).version()
    for record in output.decode(errors="replace").splitlines():
        line = parse(record)
        if line.kind == "version":
            return tuple(int(part) for part in line.text.split("-")[0].split("."))
    raise BakeError(f"{executable} is not HashiCorp's Packer: it does not say its version", hint=HINT)


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
