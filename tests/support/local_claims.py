"""What commands on the local cloud claim of what exists, from their words and their ends; held to it."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from invariant import Thing, check, things

MAKING = ("launch", "down", "reap", "bake", "extend", "allow-me")
"""The commands that make or remove something; of the others nobody asks."""
DEFAULT_NAME, DEFAULT_COUNT = "dask", 4
IMAGE = re.compile(r"\bami-[0-9a-f]{8,}\b")


@dataclass(frozen=True)
class Seen:
    """All that there is of dask-bake's, and the ids of one's own images and snapshots.

    A local cloud that is down has nothing, but images and snapshots that nobody can see.
    """

    things: frozenset[Thing] = frozenset()
    images: frozenset[str] = frozenset()
    snapshots: frozenset[str] = frozenset()
    is_up: bool = True


@dataclass
class Command:
    """A command that makes or removes something, and how it ended."""

    words: tuple[str, ...]
    code: int | None = None
    stdout: str = ""
    stderr: str = ""

    @property
    def cluster(self) -> str | None:
        """The name of the cluster that it is about; None for commands about no single one."""
        match self.words[0]:
            case "launch":
                return self.option("--name") or DEFAULT_NAME
            case "down" | "extend" | "allow-me":
                named = [word for word in self.words[1:2] if not word.startswith("-")]
                return self.option("--name") or next(iter(named), DEFAULT_NAME)
        return None

    @property
    def nodes(self) -> int | None:
        """How many instances there are more once it has done what it was asked for; None for some."""
        if self.words[0] != "launch" or "--dry-run" in self.words:
            return 0
        return None if self.option("--min-workers") else int(self.option("--count") or DEFAULT_COUNT)

    @property
    def claims(self) -> bool:
        """Whether its end says anything: a killed command's does not."""
        return self.code is not None and self.code >= 0

    @property
    def error(self) -> str:
        """The error that it ended with, on one line."""
        return " ".join(self.stderr.rpartition("Error: ")[2].split())

    @property
    def built(self) -> str:
        """The image that a bake tells of as JSON, made now or long ago; nothing if there is none."""
        has_json = self.words[0] == "bake" and self.code == 0 and "--json" in self.words
        return str(json.loads(self.stdout).get("image") or "") if has_json else ""

    def option(self, name: str) -> str:
        """The value of an option; nothing if it has none."""
        for index, word in enumerate(self.words):
            if word == name:
                return self.words[index + 1]
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
        return ""


@dataclass
class Watch:
    """Commands that go on at the same time: when the last has ended, all are held to what they claim."""

    look: Callable[[], Seen]
    commands: list[Command] = field(default_factory=list)
    before: Seen = Seen()

    @property
    def goes_on(self) -> bool:
        """Whether a command has begun whose end nobody has seen."""
        return any(command.code is None for command in self.commands)

    def begin(self, words: Sequence[str]) -> Command | None:
        """Call before a command starts; None for those that make and remove nothing."""
        if not words or words[0] not in MAKING:
            return None
        if not self.goes_on:
            self.commands, self.before = [], self.look()
        command = Command(tuple(words))
        self.commands.append(command)
        return command

    def end(self, command: Command | None, code: int, stdout: str, stderr: str) -> None:
        """Call when the command has ended, with its exit code and what it wrote."""
        if command is None or command.code is not None:
            return
        command.code, command.stdout, command.stderr = code, stdout, stderr
        if not self.goes_on:
            judge(self.before, self.look(), self.commands)

    def abandoned(self) -> list[Command]:
        """The commands whose end nobody has seen; they are watched no longer."""
        left = [command for command in self.commands if command.code is None]
        self.commands = []
        return left


def judge(before: Seen, after: Seen, commands: Sequence[Command]) -> None:
    """Fails unless what is there now is what these commands claim, cluster by cluster."""
    names = {command.cluster for command in commands if command.cluster}
    for name in names:
        about = [command for command in commands if command.cluster == name]
        _judge_some(before, after, about, lambda thing, name=name: thing.cluster == name)
        launched = any(command.words[0] == "launch" for command in about)
        if not launched and any(command.words[0] == "down" and command.code == 0 for command in about):
            left = sorted(thing for thing in after.things if thing.cluster == name)
            assert not left, f"{name} was reported as gone, but there is {left}"
    others = [command for command in commands if not command.cluster]
    _judge_some(before, after, others, lambda thing: thing.cluster not in names)
    _judge_reaps(after, [command for command in others if command.words[0] == "reap"])
    _judge_images(before, after, [command for command in commands if command.words[0] == "bake"])


def _judge_some(
    before: Seen, after: Seen, commands: Sequence[Command], about: Callable[[Thing], bool]
) -> None:
    """What these commands are about is as they claim together; without any it has not become more."""
    if not all(command.claims for command in commands):
        return
    codes = {command.code for command in commands} or {0}
    launches = [command.nodes for command in commands if command.code == 0]
    check(
        frozenset(filter(about, before.things)),
        frozenset(filter(about, after.things)),
        code=next((code for code in (0, 3) if code in codes), min(codes)),
        message=" ".join(command.error for command in commands if command.code == 3),
        nodes=None if None in launches else sum(launches),
    )


def _judge_reaps(after: Seen, reaps: Sequence[Command]) -> None:
    """What was said to be removed is gone."""
    there = {thing.id for thing in after.things}
    for reap in reaps:
        if reap.code == 0 and "--json" in reap.words:
            document = json.loads(reap.stdout)
            pieces = [piece["id"] for each in document["leftovers"] for piece in each["pieces"]]
            still = there & set(pieces)
            assert not document["removed"] or not still, (
                f"{sorted(still)} was reported as removed, but exists"
            )


def _judge_images(before: Seen, after: Seen, bakes: Sequence[Command]) -> None:
    """Each new image is one that a bake tells of, and has a snapshot."""
    if not (before.is_up and after.is_up and all(bake.claims for bake in bakes)):
        return
    reported = {image for bake in bakes if bake.code == 0 for image in IMAGE.findall(bake.stdout)}
    more, snapshots = after.images - before.images, after.snapshots - before.snapshots
    assert more <= reported, f"images that no bake reported: {sorted(more - reported)}"
    assert len(snapshots) == len(more), f"{sorted(snapshots)} for {sorted(more)}"
    built = {bake.built for bake in bakes} - {""}
    assert built <= after.images, f"{sorted(built)} was reported as built, but does not exist"


def look(client: Any) -> Seen:
    """All that there is now."""
    images = client.describe_images(Owners=["self"])["Images"]
    snapshots = client.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return Seen(
        things(client),
        frozenset(each["ImageId"] for each in images),
        frozenset(each["SnapshotId"] for each in snapshots),
    )
