"""Plans of copies by sftp."""

from pathlib import Path

from dask_bake.access.sftp import (
    Entry,
    SftpPlan,
    Step,
    batch,
    glob_quoted,
    make_plan,
    part_of,
    place_of,
    settle,
    walk,
)

FILE = Entry("data/a.csv", "", is_folder=False, size=10, time=7)


def test_a_file_that_is_there_is_kept_and_a_part_is_continued():
    part = part_of("a.csv", FILE)
    assert make_plan([FILE], "a.csv", {"a.csv": (10, 7)}, is_folder=False) == SftpPlan((), ())
    assert make_plan([FILE], "a.csv", {part: (4, 0)}, is_folder=False).steps == (
        Step("data/a.csv", "a.csv", part, 10, 4),
    )
    assert make_plan([FILE], "a.csv", {part: (11, 0)}, is_folder=False).steps[0].begun == 0


def test_the_part_of_another_version_is_another_file():
    newer = Entry("data/a.csv", "", is_folder=False, size=10, time=8)
    assert part_of("x/a.csv", FILE) != part_of("x/a.csv", newer)
    assert Path(part_of("x/a.csv", FILE)).parent == Path("x")


def test_a_file_takes_the_target_s_name_or_goes_into_the_folder():
    assert place_of(FILE, "b.csv", into=False) == "b.csv"
    assert make_plan([FILE], "new/", {}, is_folder=False).folders == ("new",)
    assert make_plan([FILE], "there", {}, is_folder=True).steps[0].place == "there/a.csv"


def test_a_folder_goes_below_the_target_by_its_own_name():
    top = Entry("x/data", "", is_folder=True)
    below = Entry("x/data", "b/c", is_folder=False, size=1, time=1)
    plan = make_plan([top, below], "to", {}, is_folder=False)
    assert (plan.folders, plan.steps[0].place) == (("to", "to/data"), "to/data/b/c")


def test_the_batch_of_an_upload_gives_each_file_its_name_when_it_is_whole():
    steps = (Step("a*b", 'c"d', "p1", 10, 0), Step("e", "f", "p2", 10, 5), Step("g", "h", "p3", 10, 10))
    assert batch(SftpPlan(("dir",), steps), is_upload=True).splitlines() == [
        '-mkdir "dir"',
        'put -p "a*b" "p1"',
        'rename "p1" "c\\"d"',
        'put -p -a "e" "p2"',
        'rename "p2" "f"',
        'rename "p3" "h"',
    ]


def test_the_batch_of_a_download_leaves_the_names_to_this_machine(tmp_path):
    whole, broken = tmp_path / "p1", tmp_path / "p2"
    whole.write_text("12345")
    broken.write_text("123")
    steps = tuple(
        Step(f"/far/{name}", str(tmp_path / name), str(part), 5, 0)
        for name, part in (("a", whole), ("b", broken))
    )
    plan = SftpPlan((), steps)
    assert batch(plan, is_upload=False).splitlines() == [
        f'get -p "/far/a" "{whole}"',
        f'get -p "/far/b" "{broken}"',
    ]
    assert (settle(plan), (tmp_path / "a").read_text(), (tmp_path / "b").exists()) == (1, "12345", False)


def test_the_shell_of_a_node_expands_globs_and_nothing_else():
    assert glob_quoted("a b/*.csv;$(x)") == "./a\\ b/*.csv\\;\\$\\(x\\)"


def test_a_folder_of_this_machine_is_walked_without_links_and_parts(tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").write_text("1")
    (tmp_path / "d/link").symlink_to("e/f")
    (tmp_path / "d/.g.123.dask-bake-part").touch()
    found = {(entry.below, entry.is_folder) for entry in walk(str(tmp_path / "d"))}
    assert found == {("", True), ("e", True), ("e/f", False)}
