"""Paths of lock files, matching of locks, and atomic writes."""

import os
from pathlib import Path

import pytest

from dask_bake.environment.lock_files import LockFiles, lock_files, read, write
from dask_bake.environment.spec import parse_environment
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Architecture

ENVIRONMENT = parse_environment(b"dependencies: [dask]")
OTHER = parse_environment(b"dependencies: [dask, numpy]")
HEADER = "# environment: {}\n"
OURS, THEIRS = HEADER.format(ENVIRONMENT.sha256) + "ours\n", HEADER.format(OTHER.sha256) + "theirs\n"


def yes(text: str) -> bool:
    return True


class Maker:
    """Makes locks, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"{OURS}made {self.count}\n"


def never() -> str:
    raise AssertionError("a lock was made")


def files(folder: Path, file: str | None = "environment.yml", **options: object) -> LockFiles:
    architecture = options.pop("architecture", Architecture.X86_64)
    return lock_files(
        ENVIRONMENT,
        folder / file if file else None,
        architecture=architecture,  # type: ignore[arg-type]
        state=folder / "state",
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("file", "architecture", "expected"),
    [
        ("environment.yml", "x86_64", "{}"),
        ("environment.yaml", "x86_64", "{}"),
        ("rides.yml", "x86_64", "rides.{}"),
        ("environment.yml", "arm64", "arm64.{}"),
        ("rides.yml", "arm64", "rides.arm64.{}"),
    ],
)
def test_a_lock_is_beside_its_environment_under_its_name(tmp_path, file, architecture, expected) -> None:
    locks = files(tmp_path, file, architecture=Architecture(architecture))
    for name in ("pip.lock", "conda.lock", "conda.pip.lock"):
        assert locks.path(name) == tmp_path / expected.format(name)


def test_an_environment_without_a_file_has_its_locks_in_the_state_folder(tmp_path) -> None:
    prefix = ENVIRONMENT.sha256[:12]
    assert files(tmp_path, None).path("pip.lock") == tmp_path / "state" / "locks" / f"{prefix}.pip.lock"
    arm = files(tmp_path, None, architecture=Architecture.ARM64)
    assert arm.path("conda.lock") == tmp_path / "state" / "locks" / f"{prefix}.arm64.conda.lock"


def test_in_a_read_only_folder_the_lock_is_in_the_state_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    locks = files(tmp_path, "rides.yml")
    assert locks.path("pip.lock").parent == tmp_path / "state" / "locks"
    assert locks.path("pip.lock").name == f"{ENVIRONMENT.sha256[:12]}.rides.pip.lock"


def test_a_shipped_lock_is_found_and_never_written(tmp_path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "pip.lock").write_text(OURS)
    locks = files(package, shipped=package)
    assert locks.text("pip.lock", never, holds=yes) == OURS
    (package / "pip.lock").write_text(THEIRS)
    made = locks.text("pip.lock", Maker(), holds=yes)
    assert (package / "pip.lock").read_text() == THEIRS
    assert locks.path("pip.lock").read_text() == made
    assert package not in locks.path("pip.lock").parents or "state" in locks.path("pip.lock").parts


def test_a_lock_made_before_is_preferred_to_the_shipped_one(tmp_path) -> None:
    package = tmp_path / "package"
    write(package / "pip.lock", OURS)
    locks = files(package, shipped=package)
    write(locks.path("pip.lock"), OURS + "newer\n")
    assert locks.text("pip.lock", never, holds=yes) == OURS + "newer\n"


def test_a_lock_is_made_again_only_if_it_does_not_satisfy_the_specs(tmp_path) -> None:
    locks, make = files(tmp_path), Maker()
    made = locks.text("pip.lock", make, holds=yes)
    assert locks.text("pip.lock", make, holds=yes) == made
    assert make.count == 1
    again = locks.text("pip.lock", make, holds=lambda text: text != made)
    assert (make.count, (tmp_path / "pip.lock").read_text()) == (2, again)


def test_a_lock_of_a_changed_environment_is_made_again(tmp_path) -> None:
    (tmp_path / "pip.lock").write_text(THEIRS)
    assert files(tmp_path).text("pip.lock", Maker(), holds=yes) == f"{OURS}made 1\n"
    assert (tmp_path / "pip.lock").read_text() == f"{OURS}made 1\n"


def test_a_lock_without_the_environment_s_hash_is_used_if_it_satisfies_the_specs(tmp_path) -> None:
    (tmp_path / "conda.lock").write_text("version: 6\n")
    assert files(tmp_path).text("conda.lock", never, holds=yes) == "version: 6\n"


def test_with_renew_a_lock_is_always_made_again(tmp_path) -> None:
    (tmp_path / "pip.lock").write_text(OURS)
    assert files(tmp_path, renew=True).text("pip.lock", Maker(), holds=yes) == f"{OURS}made 1\n"


@pytest.mark.parametrize(
    ("text", "says"), [(THEIRS, "mine.lock is not a lock of this environment"), (None, "there is no lock ")]
)
def test_a_lock_given_by_the_user_is_used_or_refused_and_never_made_again(tmp_path, text, says) -> None:
    mine = tmp_path / "mine.lock"
    if text is not None:
        mine.write_text(text)
    with pytest.raises(UsageError, match=says):
        files(tmp_path, given=mine).text("conda.lock", never, holds=yes)
    mine.write_text(OURS)
    assert files(tmp_path, given=mine).text("conda.lock", never, holds=yes) == OURS
    assert files(tmp_path, given=mine).path("conda.pip.lock") == tmp_path / "mine.pip.lock"
    assert list(tmp_path.iterdir()) == [mine]


def test_a_lock_that_cannot_be_read_is_an_error(tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"folder cannot be read: Is a directory$"):
        read(tmp_path / "folder")
    with pytest.raises(UsageError, match=r"binary cannot be read: .*invalid start byte"):
        read(tmp_path / "binary")
    assert read(tmp_path / "nothing") is None


@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_a_lock_is_written_whole_or_not_at_all(step, tmp_path, monkeypatch) -> None:
    lock = tmp_path / "pip.lock"
    lock.write_text("old")
    write_text = Path.write_text

    def half(path: Path, *arguments: object, **options: str) -> None:
        if step == "write_text":
            write_text(path, "ne")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, step, half)
    with pytest.raises(BakeError, match=r"pip\.lock cannot be written: No space left on device"):
        write(lock, "new text")
    assert (lock.read_text(), list(tmp_path.iterdir())) == ("old", [lock])


def test_a_lock_cannot_be_written_below_a_file(tmp_path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(BakeError, match=r"pip\.lock cannot be written: "):
        write(tmp_path / "state" / "locks" / "pip.lock", "text")
