"""The watch over the local cloud's commands is no rubber stamp: each lie of theirs is seen."""

import json

import pytest

from invariant import Thing
from local_claims import Command, Seen, Watch, judge

OLD_IMAGE, NEW_IMAGE = "ami-00000000000000001", "ami-00000000000000002"
BEFORE = Seen(
    frozenset({Thing("instance", "i-0", cluster="old")}), frozenset({OLD_IMAGE}), frozenset({"snap-1"})
)
BAKED = ("bake", "--json")


def nodes(name: str, count: int = 1) -> frozenset[Thing]:
    return frozenset(
        Thing("instance", f"i-{number:08x}{name.encode().hex()}", cluster=name) for number in range(count)
    )


def more(*things: Thing, images: tuple[str, ...] = (), snapshots: tuple[str, ...] = ()) -> Seen:
    return Seen(BEFORE.things | {*things}, BEFORE.images | {*images}, BEFORE.snapshots | {*snapshots})


def holds(after: Seen, *commands: Command, before: Seen = BEFORE) -> bool:
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
def test_a_command_s_words_say_what_it_is_to_make(words, cluster, nodes):
    command = Command(words)
    assert (command.cluster, command.nodes) == (cluster, nodes)


def test_a_launch_made_its_nodes_under_its_name_and_nothing_else():
    assert holds(more(*nodes("a", 2)), launch("a", 2))
    assert not holds(more(*nodes("a", 1)), launch("a", 2))
    assert not holds(more(*nodes("b", 2)), launch("a", 2))
    assert not holds(more(*nodes("a", 2), Thing("volume", "vol-1", cluster="b")), launch("a", 2))
    assert not holds(more(*nodes("a", 1)), launch("a", 2, code=130))


def test_commands_at_the_same_time_answer_each_for_its_own_cluster():
    both = (launch("a", 2), launch("b", 3, code=1))
    assert holds(more(*nodes("a", 2)), *both)
    assert not holds(more(*nodes("a", 2), *nodes("b", 1)), *both)
    assert not holds(more(*nodes("b", 2)), *both)


def test_of_two_launches_of_one_name_one_has_made_it():
    assert holds(more(*nodes("a", 2)), launch("a", 2), launch("a", 2, code=1))
    assert not holds(more(*nodes("a", 4)), launch("a", 2), launch("a", 2, code=1))


def test_what_is_left_is_named():
    (left,) = nodes("a")
    assert holds(
        more(left), launch("a", 2, code=3, stderr=f"Error: it may be left: instance\n{left.id} (running)")
    )
    assert not holds(
        more(left), launch("a", 2, code=3, stderr=f"started {left.id}\nError: something may be left")
    )


def test_a_cluster_that_was_ended_is_no_more():
    down = Command(("down", "old"), 0)
    assert holds(more(), Command(("down", "old"), 1))
    assert not holds(more(), down)
    assert holds(Seen(images=BEFORE.images, snapshots=BEFORE.snapshots), down)


def test_what_was_reaped_is_no_more():
    document = {"leftovers": [{"pieces": [{"id": "i-0"}]}], "removed": True}
    reap = Command(("reap", "--yes", "--json"), 0, stdout=json.dumps(document))
    assert not holds(more(), reap)
    assert holds(Seen(), reap, before=Seen(BEFORE.things))
    assert holds(more(), Command(reap.words, 0, stdout=json.dumps({**document, "removed": False})))


def test_a_bake_made_the_image_that_it_tells_of_and_its_snapshot():
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
def test_a_bake_that_failed_left_neither_machine_nor_image_nor_snapshot(left):
    assert holds(more(), bake("", code=1))
    assert not holds(left, bake("", code=1))


def test_what_a_killed_command_left_is_nobody_s_claim():
    assert holds(more(*nodes("image-1"), images=(NEW_IMAGE,)), bake("", code=-9))


def test_images_that_could_not_be_seen_before_are_not_new():
    assert holds(more(), bake("", code=1), before=Seen(BEFORE.things, is_up=False))


def test_commands_are_judged_when_the_last_has_ended():
    there = [BEFORE]
    watch = Watch(lambda: there[-1])
    first, second = watch.begin(("launch", "--name", "a", "--count", "1")), watch.begin(("down", "old"))
    watch.end(first, 0, "", "")
    there.append(Seen(nodes("a"), BEFORE.images, BEFORE.snapshots))
    watch.end(second, 0, "", "")
    last = watch.begin(("down", "a"))
    with pytest.raises(AssertionError, match="a was reported as gone"):
        watch.end(last, 0, "", "")
    assert watch.begin(("ssh", "--name", "a")) is None


def test_a_command_whose_end_nobody_saw_is_told():
    watch = Watch(lambda: BEFORE)
    command = watch.begin(("bake",))
    assert watch.abandoned() == [command]
    assert watch.abandoned() == []
