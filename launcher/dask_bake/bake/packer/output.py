"""What Packer says with -machine-readable, read as phases, lines, an image id or a failure."""

import re
from collections import deque
from dataclasses import dataclass
from pathlib import PurePath

from dask_bake.events import Notify, Output, Phases

START = "start instance"
BOOT = "boot"
UPLOAD = "upload"
SNAPSHOT = "snapshot"
TIDY_UP = "tidy up"

SAID = (
    ("Waiting for SSH", BOOT),
    ("Uploading ", UPLOAD),
    ("Stopping the source instance", SNAPSHOT),
    ("Terminating the source AWS instance", TIDY_UP),
)
SCRIPT = "Provisioning with shell script: "
# A script says itself what it begins to do.
MARKER = "PHASE: "
TIMED_OUT = "Cancelling provisioner after a timeout..."
CANCELLED = "Cancelling build after receiving"
PREFIX = re.compile(r"^(?:==>|-->| *) *amazon-ebs\.dask: ?")
FAILED = re.compile(r"Build '[^']*' errored after [^:]*: (?P<reason>.*)", re.DOTALL)
TAIL = 12


@dataclass(frozen=True)
class Line:
    """One record: its kind (say, message, error, artifact …) and what it says."""

    kind: str
    text: str


def parse(record: str) -> Line:
    """The record as a line; whatever is not a record is a message."""
    fields = record.rstrip("\n").split(",")
    if len(fields) < 3 or not fields[0].isdigit():
        return Line("message", record.rstrip())
    _, _, kind, *data = (_unescaped(field) for field in fields)
    if kind == "ui" and len(data) >= 2:
        return Line(data[0], ",".join(data[1:]))
    return Line(kind, ",".join(data))


class Progress:
    """Follows a build line by line, to the image, or to the step that failed and its last lines."""

    def __init__(self, phases: Phases, notify: Notify) -> None:
        self.image_id: str | None = None
        self.cancelled = False
        self.reason = ""
        self.step = "packer"
        self._phases = phases
        self._notify = notify
        self._last: deque[str] = deque(maxlen=TAIL)
        self._tidying = False

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines before the instance was taken down."""
        return tuple(self._last)

    def see(self, record: str) -> None:
        """That record counts: events are sent for what is new in it."""
        line = parse(record)
        if line.kind == "artifact" and line.text.startswith("0,id,"):
            self.image_id = line.text.rpartition(":")[2]
        elif line.kind in ("say", "message", "error"):
            self._hear(line)

    def _hear(self, line: Line) -> None:
        self.cancelled = self.cancelled or CANCELLED in line.text
        if line.kind == "error" and (failed := FAILED.match(line.text)) and not self.reason:
            self.reason = failed["reason"].splitlines()[0]
        if line.text.endswith(TIMED_OUT):
            self.reason = "it did not end in time"
        for text in filter(None, (PREFIX.sub("", part).rstrip() for part in line.text.splitlines())):
            if line.kind == "say":
                self._enter(text)
            elif text.startswith(MARKER):
                self._phases.enter(text.removeprefix(MARKER))
                continue
            if not self._tidying:
                self._last.append(text)
            self._notify(Output(text))

    def _enter(self, text: str) -> None:
        if text.startswith(SCRIPT) and text.endswith(".sh"):
            self.step = PurePath(text.removeprefix(SCRIPT)).name
            self._last.clear()
        for beginning, phase in SAID:
            if text.startswith(beginning):
                self._tidying = phase == TIDY_UP
                self.step = self.step if self._tidying else phase
                self._phases.enter(phase)


def _unescaped(field: str) -> str:
    return field.replace("%!(PACKER_COMMA)", ",").replace("\\r", "").replace("\\n", "\n")
