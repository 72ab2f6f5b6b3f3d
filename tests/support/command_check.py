"""Compare what commands on the local cloud report with the resources that exist after they have ended."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from resource_check import Resource, check, resources

MAKING = ("launch", "down", "reap", "bake", "extend", "allow-me")
"""Commands that make or remove something; others are not checked."""
DEFAULT_NAME, DEFAULT_COUNT = "dask", 4
IMAGE = re.compile(r"\bami-[0-9a-f]{8,}\b")


@dataclass(frozen=True)
class State:
    """All resources of dask-bake, and the ids of the account's images and snapshots.

    A local cloud that is down has no resources; its images and snapshots are not visible.
    """

    resources: frozenset[Resource] = frozenset()
    images: frozenset[str] = frozenset()
    snapshots: frozenset[str] = frozenset()
    is_up: bool = True


@dataclass
class Command:
    """A command that makes or removes something, and its result."""

    words: tuple[str, ...]
    code: int | None = None
    stdout: str = ""
    stderr: str = ""

    @property
    def cluster(self) -> str | None:
        """The cluster's name; None for commands that are not about one cluster."""
        match self.words[0]:
            case "launch":
                return self.option("--name") or DEFAULT_NAME
            case "down" | "extend" | "allow-me":
                named = [word for word in self.words[1:2] if not word.startswith("-")]
                return self.option("--name") or next(iter(named), DEFAULT_NAME)
        return None

    @property
    def nodes(self) -> int | None:
        """The number of instances that the command adds if it succeeds; None if at least one."""
        if self.words[0] != "launch" or "--dry-run" in self.words:
            return 0
        return None if self.option("--min-workers") else int(self.option("--count") or DEFAULT_COUNT)

    @property
    def claims(self) -> bool:
        """Whether the command's end reports anything; a killed one's does not."""
        return self.code is not None and self.code >= 0

    @property
    def error(self) -> str:
        """The error message, on one line."""
        return " ".join(self.stderr.rpartition("Error: ")[2].split())

    @property
    def built(self) -> str:
        """The image in a bake's JSON result; empty if there is none."""
        has_json = self.words[0] == "bake" and self.code == 0 and "--json" in self.words
        return str(json.loads(self.stdout).get("image") or "") if has_json else ""

    def option(self, name: str) -> str:
        """Return an option's value, or an empty string."""
        for index, word in enumerate(self.words):
            if word == name:
                return self.words[index + 1]
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
        return ""


@dataclass
class Watch:
    """Commands that overlap in time; when the last has ended, all are checked."""

    look: Callable[[], State]
    commands: list[Command] = field(default_factory=list)
    before: State = State()

    @property
    def has_running(self) -> bool:
        """Whether a command has begun that has not ended."""
        return any(command.code is None for command in self.commands)

    def begin(self, words: Sequence[str]) -> Command | None:
        """Record a command before it starts; return None for commands that change nothing."""
        if not words or words[0] not in MAKING:
            return None
        if not self.has_running:
            self.commands, self.before = [], self.look()
        command = Command(tuple(words))
        self.commands.append(command)
        return command

    def end(self, command: Command | None, code: int, stdout: str, stderr: str) -> None:
        """Record the command's exit code and output, and check all commands after the last."""
        if command is None or command.code is not None:
            return
        command.code, command.stdout, command.stderr = code, stdout, stderr
        if not self.has_running:
            judge(self.before, self.look(), self.commands)

    def abandoned(self) -> list[Command]:
        """Return the commands that never ended, and forget them."""
        left = [command for command in self.commands if command.code is None]
        self.commands = []
        return left


def judge(before: State, after: State, commands: Sequence[Command]) -> None:
    """Fail unless the state matches what the commands report, cluster by cluster."""
    names = {command.cluster for command in commands if command.cluster}
    for name in names:
        about = [command for command in commands if command.cluster == name]
        _judge_some(before, after, about, lambda thing, name=name: thing.cluster == name)
        launched = any(command.words[0] == "launch" for command in about)
        if not launched and any(command.words[0] == "down" and command.code == 0 for command in about):
            left = sorted(thing for thing in after.resources if thing.cluster == name)
            assert not left, f"{name} was reported as gone, but there is {left}"
    others = [command for command in commands if not command.cluster]
    _judge_some(before, after, others, lambda thing: thing.cluster not in names)
    _judge_reaps(after, [command for command in others if command.words[0] == "reap"])
    _judge_images(before, after, [command for command in commands if command.words[0] == "bake"])


def _judge_some(
    before: State, after: State, commands: Sequence[Command], about: Callable[[Resource], bool]
) -> None:
    """Fail unless the selected resources match these commands; without commands none may be new."""
    if not all(command.claims for command in commands):
        return
    codes = {command.code for command in commands} or {0}
    launches = [command.nodes for command in commands if command.code == 0]
    check(
        frozenset(filter(about, before.resources)),
        frozenset(filter(about, after.resources)),
        code=next((code for code in (0, 3) if code in codes), min(codes)),
        message=" ".join(command.error for command in commands if command.code == 3),
        nodes=None if None in launches else sum(launches),
    )


def _judge_reaps(after: State, reaps: Sequence[Command]) -> None:
    """Fail if a resource exists that ``reap`` reported as removed."""
    there = {thing.id for thing in after.resources}
    for reap in reaps:
        if reap.code == 0 and "--json" in reap.words:
            document = json.loads(reap.stdout)
            pieces = [piece["id"] for each in document["leftovers"] for piece in each["pieces"]]
            still = there & set(pieces)
            assert not document["removed"] or not still, (
                f"{sorted(still)} was reported as removed, but exists"
            )


def _judge_images(before: State, after: State, bakes: Sequence[Command]) -> None:
    """Fail unless each new image was reported by a bake and has a snapshot."""
    if not (before.is_up and after.is_up and all(bake.claims for bake in bakes)):
        return
    reported = {image for bake in bakes if bake.code == 0 for image in IMAGE.findall(bake.stdout)}
    more, snapshots = after.images - before.images, after.snapshots - before.snapshots
    assert more <= reported, f"images that no bake reported: {sorted(more - reported)}"
    assert len(snapshots) == len(more), f"{sorted(snapshots)} for {sorted(more)}"
    built = {bake.built for bake in bakes} - {""}
    assert built <= after.images, f"{sorted(built)} was reported as built, but does not exist"


def look(client: Any) -> State:
    """Return the current state."""
    images = client.describe_images(Owners=["self"])["Images"]
    snapshots = client.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return State(
        resources(client),
        frozenset(each["ImageId"] for each in images),
        frozenset(each["SnapshotId"] for each in snapshots),
    )
