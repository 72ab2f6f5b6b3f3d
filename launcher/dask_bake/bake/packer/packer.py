"""Build an image with Packer: from a template and its variables to the image's id."""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from dask_bake.bake.packer.output import START, Progress, parse
from dask_bake.bake.packer.process import PackerProcess, environment, plugin_records, version_records
from dask_bake.ec2.errors import CAPACITY, zones_with_room
from dask_bake.errors import BakeError, CapacityError
from dask_bake.events import Note, Notify, Phases
from dask_bake.system.disk import explain_disk_errors

Version = tuple[int, ...]

MINIMUM: Version = (1, 6, 6)
INIT_SINCE: Version = (1, 7, 0)
UNBUNDLED_SINCE: Version = (1, 10, 0)
"""The first release without any plugin."""
MINIMUM_PLUGIN: Version = (1, 3, 3)
"""As in plugins.pkr.hcl."""
PLUGIN = re.compile(r"packer-plugin-amazon_v(\d+\.\d+\.\d+)_")
NEWER, MARK = "newer.hcl", "  # newer.hcl is inserted here\n"
"""The file of a template with what Packer 1.6 does not know, and where it belongs in dask.pkr.hcl."""
INSTALLATION = "https://developer.hashicorp.com/packer/install"
LACK = re.compile(rf"(?:launching source instance|RunInstances).*?\b({'|'.join(sorted(CAPACITY))})\b")
"""Packer's message where a zone has no room for the instance, or not its type."""
LOG_SIZE = 10 << 20
FILE_SIZE = 1 << 20
# How long a Packer that got the terminal's Ctrl-C takes, at most, to say so.
HEARD_WITHIN = 1.0
# And how long it may tidy up; what it has not removed by then is found by its tags.
TIDIED_WITHIN = 300.0
SETTINGS = {"CHECKPOINT_DISABLE": "1"}
# What AWS says, and what to do about it.
HINTS = {
    "ExpiredToken": "the credentials have expired: log in again (aws sso login)",
    "RequestExpired": "the credentials have expired, or this machine's clock is wrong: log in again",
    "UnauthorizedOperation": "permissions are missing: dask-bake iam-policy --for bake prints the policy",
    "your quota": "dask-bake images prune --keep 2 removes old images; Service Quotas raises the quota",
    "VcpuLimitExceeded": "choose a smaller --type, or raise the quota under Service Quotas",
    "InsufficientInstanceCapacity": "AWS lacks capacity for this type: try another --type, --zone, or later",
    "did not end in time": "--timeout gives the scripts longer",
    "Timeout waiting for SSH": "--timeout gives the boot longer",
}


def find_packer(*, log: Path, cache: Path, path: str | None = None) -> "PackerBuilder":
    """Return the Packer that is installed, if it is new enough; its full output will be in the log.

    Raises:
        BakeError: where there is none, or it is too old.
    """
    executable = packer_executable(cache, path=path)
    if executable is None:
        raise BakeError(
            "Packer is not installed",
            hint=f"on Debian, make setup in dask-bake's checkout installs it; elsewhere: {INSTALLATION}",
        )
    version = _version(executable)
    if version < MINIMUM:
        raise BakeError(
            f"{executable} is Packer {_dotted(version)}; {_dotted(MINIMUM)} is needed",
            hint=f"newer ones: {INSTALLATION}",
        )
    return PackerBuilder(executable, version, log=log, cache=cache)


def packer_executable(cache: Path, *, path: str | None = None) -> str | None:
    """Return the path of the Packer on PATH, else of the one that setup.sh put into the cache."""
    return shutil.which("packer", path=path) or shutil.which("packer", path=str(cache / "bin"))


class PackerBuilder:
    """An installed Packer."""

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
        """Install the plugins, for versions of Packer that do not include them.

        Raises:
            BakeError: if they can be neither downloaded nor found on this machine.
        """
        if self.version < INIT_SINCE:
            return
        progress = Progress(Phases(notify, self._clock), notify)
        code = self._run("init", plugins, {}, progress, {})
        if code == 0:
            return
        if self.version < UNBUNDLED_SINCE or (found := self._plugin()) >= MINIMUM_PLUGIN:
            notify(Note("packer init failed; the Amazon plugin that is installed is used."))
            return
        there = f"the installed one is {_dotted(found)}" if found else "none is installed"
        raise BakeError(
            f"packer init failed, and Packer needs the Amazon plugin {_dotted(MINIMUM_PLUGIN)}: {there}"
            + "".join(f"\n  {line}" for line in progress.last_lines),
            hint="a plugin from elsewhere: packer plugins install --path FILE github.com/hashicorp/amazon;"
            f" the full output is in {self._log}",
        )

    def _plugin(self) -> Version:
        """Return the newest installed version of the Amazon plugin; () if there is none."""
        with environment(SETTINGS):
            lines = [parse(record).text for record in plugin_records(self._executable)]
        found = [PLUGIN.search(line) for line in lines]
        return max((tuple(map(int, each[1].split("."))) for each in found if each), default=())

    def build(
        self, template: Path, variables: Mapping[str, object], credentials: Mapping[str, str], notify: Notify
    ) -> str:
        """Build and return the image's id; Packer has always ended and cleaned up before this returns."""
        phases = Phases(notify, self._clock)
        progress = Progress(phases, notify)
        phases.enter(START)
        if self.version >= INIT_SINCE:
            insert_newer(template)
        try:
            with _variable_file(variables, self._cache) as file:
                code = self._run("build", template, {"var-file": str(file)}, progress, credentials)
        finally:
            phases.leave()
        self._check(code, progress)
        if progress.image_id is None:
            raise BakeError(
                "Packer succeeded, but reported no image", hint=f"its full output is in {self._log}"
            )
        return progress.image_id

    def _run(
        self,
        command: str,
        template: Path,
        options: Mapping[str, str],
        progress: Progress,
        credentials: Mapping[str, str],
    ) -> int:
        settings = {**SETTINGS, "PACKER_LOG": "", "PACKER_CACHE_DIR": str(self._cache), **credentials}
        with (
            explain_disk_errors(self._log.parent, needed=LOG_SIZE),
            _opened(self._log) as log,
            environment(settings),
        ):
            child = PackerProcess(self._executable, command, template, options)
            try:
                for record in child.records():
                    _keep(log, record)
                    progress.see(record)
            except BaseException:
                try:
                    self._end(child, progress, log)
                finally:
                    child.kill()
                raise
            return child.code

    def _end(self, child: PackerProcess, progress: Progress, log: TextIO) -> None:
        """Let Packer clean up; a second signal, after the terminal's Ctrl-C, would stop that."""
        told_by, end_by = self._clock() + HEARD_WITHIN, self._clock() + TIDIED_WITHIN
        told = False
        while self._clock() < end_by and (record := child.next(timeout=0.1)) is not None:
            with suppress(OSError):
                _keep(log, record)
                progress.see(record)
            if not (told or progress.cancelled) and self._clock() > told_by:
                told = True
                child.terminate()

    def _check(self, code: int, progress: Progress) -> None:
        if code:
            reason = progress.reason or f"exit code {code}"
            log = f"the full output is in {self._log}"
            if (lack := LACK.search(reason)) is not None:
                raise CapacityError(
                    f"{progress.step} failed: {reason}",
                    hint=f"{HINTS['InsufficientInstanceCapacity']}; {log}",
                    code=lack[1],
                    zones=zones_with_room(reason),
                )
            hints = [hint for code, hint in HINTS.items() if code in f"{reason} {progress.last_lines}"]
            raise BakeError(
                "\n".join(
                    [f"{progress.step} failed: {reason}", *(f"  {line}" for line in progress.last_lines)]
                ),
                hint="; ".join([*hints[:1], log]),
            )


def insert_newer(template: Path) -> None:
    """Put into the template what Packer 1.6 rejects; HCL has no conditions on a release of Packer."""
    path = template / "dask.pkr.hcl"
    text = path.read_text()
    if MARK in text:
        path.write_text(text.replace(MARK, (template / NEWER).read_text()))


@contextmanager
def _variable_file(variables: Mapping[str, object], cache: Path) -> Iterator[Path]:
    with explain_disk_errors(cache, needed=FILE_SIZE):
        cache.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=cache, prefix="variables-")
    with folder as name:
        file = Path(name, "variables.json")
        with explain_disk_errors(cache, needed=FILE_SIZE):
            file.write_text(json.dumps(variables))
        yield file


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
    with environment(SETTINGS):
        lines = [parse(record) for record in version_records(executable)]
    said = next((line.text for line in lines if line.kind == "version"), None)
    if said is None:
        raise BakeError(
            f"{executable} is not HashiCorp's Packer: it prints no version",
            hint=f"HashiCorp's: {INSTALLATION}",
        )
    return tuple(int(part) for part in said.split("-")[0].split("."))


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
