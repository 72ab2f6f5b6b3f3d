"""The check of commands on the local cloud finds every kind of false report."""

import json

import pytest

from command_check import Command, State, Watch, judge
from resource_check import Resource

OLD_IMAGE, NEW_IMAGE = "ami-00000000000000001", "ami-00000000000000002"
BEFORE = State(
    frozenset({Resource("instance", "i-0", cluster="old")}), frozenset({OLD_IMAGE}), frozenset({"snap-1"})
)
BAKED = ("bake", "--json")


def nodes(name: str, count: int = 1) -> frozenset[Resource]:
    return frozenset(
        Resource("instance", f"i-{number:08x}{name.encode().hex()}", cluster=name) for number in range(count)
    )


def more(*resources: Resource, images: tuple[str, ...] = (), snapshots: tuple[str, ...] = ()) -> State:
    return State(BEFORE.resources | {*resources}, BEFORE.images | {*images}, BEFORE.snapshots | {*snapshots})


def holds(after: State, *commands: Command, before: State = BEFORE) -> bool:
    try:
        judge(before, after, commands)
    except AssertionError:
        return False
    return True


def launch(name: str, count: int, code: int = 0, stderr: str = "") -> Command:
    return Command(("launch", "--name", name, "--count", str(count)), code, stderr=stderr)


def bake(image: str, code: int = 0) -> Command:
    return Command(BAKED, code, stdout=json.dumps({"image": image}) if code == 0 else "")


@pytest.mark.parametrize(
    ("words", "cluster", "nodes"),
    [
        (("launch", "--count=9", "--name", "taxi"), "taxi", 9),
        (("launch",), "dask", 4),
        (("launch", "--count", "9", "--min-workers", "4"), "dask", None),
        (("launch", "--count", "9", "--dry-run"), "dask", 0),
        (("down", "taxi", "--json"), "taxi", 0),
        (("allow-me", "taxi"), "taxi", 0),
        (("bake", "--force"), None, 0),
    ],
)
def test_a_command_line_gives_the_cluster_and_the_number_of_nodes(words, cluster, nodes):
    command = Command(words)
    assert (command.cluster, command.nodes) == (cluster, nodes)


def test_a_launch_makes_its_nodes_under_its_name_and_nothing_else():
    assert holds(more(*nodes("a", 2)), launch("a", 2))
    assert not holds(more(*nodes("a", 1)), launch("a", 2))
    assert not holds(more(*nodes("b", 2)), launch("a", 2))
    assert not holds(more(*nodes("a", 2), Resource("volume", "vol-1", cluster="b")), launch("a", 2))
    assert not holds(more(*nodes("a", 1)), launch("a", 2, code=130))


def test_concurrent_commands_are_checked_by_cluster():
    both = (launch("a", 2), launch("b", 3, code=1))
    assert holds(more(*nodes("a", 2)), *both)
    assert not holds(more(*nodes("a", 2), *nodes("b", 1)), *both)
    assert not holds(more(*nodes("b", 2)), *both)


def test_of_two_launches_of_one_name_one_makes_the_cluster():
    assert holds(more(*nodes("a", 2)), launch("a", 2), launch("a", 2, code=1))
    assert not holds(more(*nodes("a", 4)), launch("a", 2), launch("a", 2, code=1))


def test_leftovers_are_named():
    (left,) = nodes("a")
    assert holds(
        more(left), launch("a", 2, code=3, stderr=f"Error: it may be left: instance\n{left.id} (running)")
    )
    assert not holds(
        more(left), launch("a", 2, code=3, stderr=f"started {left.id}\nError: something may be left")
    )


def test_a_cluster_that_was_taken_down_is_gone():
    down = Command(("down", "old"), 0)
    assert holds(more(), Command(("down", "old"), 1))
    assert not holds(more(), down)
    assert holds(State(images=BEFORE.images, snapshots=BEFORE.snapshots), down)


def test_reaped_resources_are_gone():
    document = {"leftovers": [{"pieces": [{"id": "i-0"}]}], "removed": True}
    reap = Command(("reap", "--yes", "--json"), 0, stdout=json.dumps(document))
    assert not holds(more(), reap)
    assert holds(State(), reap, before=State(BEFORE.resources))
    assert holds(more(), Command(reap.words, 0, stdout=json.dumps({**document, "removed": False})))


def test_a_bake_makes_the_image_that_it_reports_and_its_snapshot():
    made = more(images=(NEW_IMAGE,), snapshots=("snap-2",))
    assert holds(made, bake(NEW_IMAGE))
    assert holds(made, bake(NEW_IMAGE), bake(NEW_IMAGE))
    assert holds(more(), bake(OLD_IMAGE))
    assert not holds(more(), bake(NEW_IMAGE))
    assert not holds(made, bake(OLD_IMAGE))
    assert not holds(more(images=(NEW_IMAGE,)), bake(NEW_IMAGE))


@pytest.mark.parametrize(
    "left",
    [more(*nodes("image-1")), more(images=(NEW_IMAGE,), snapshots=("snap-2",)), more(snapshots=("snap-2",))],
)
def test_a_failed_bake_leaves_neither_instance_nor_image_nor_snapshot(left):
    assert holds(more(), bake("", code=1))
    assert not holds(left, bake("", code=1))


def test_leftovers_of_a_killed_command_are_not_checked():
    assert holds(more(*nodes("image-1"), images=(NEW_IMAGE,)), bake("", code=-9))


def test_images_of_a_stopped_local_cloud_are_not_new():
    assert holds(more(), bake("", code=1), before=State(BEFORE.resources, is_up=False))


def test_commands_are_checked_when_the_last_has_ended():
    there = [BEFORE]
    watch = Watch(lambda: there[-1])
    first, second = watch.begin(("launch", "--name", "a", "--count", "1")), watch.begin(("down", "old"))
    watch.end(first, 0, "", "")
    there.append(State(nodes("a"), BEFORE.images, BEFORE.snapshots))
    watch.end(second, 0, "", "")
    last = watch.begin(("down", "a"))
    with pytest.raises(AssertionError, match="a was reported as gone"):
        watch.end(last, 0, "", "")
    assert watch.begin(("ssh", "--name", "a")) is None


def test_a_command_that_never_ended_is_reported():
    watch = Watch(lambda: BEFORE)
    command = watch.begin(("bake",))
    assert watch.abandoned() == [command]
    assert watch.abandoned() == []
