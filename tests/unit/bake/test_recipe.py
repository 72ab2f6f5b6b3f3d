"""The recipe of an image: its digest, its files and its manifest."""

import hashlib
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dask_bake.bake.recipe import Recipe, pack_rootfs, stage
from dask_bake.environment.pip_lock import Lock, Package
from dask_bake.errors import BakeError
from dask_bake.images.manifest import File

LOCK = Lock("e" * 64, "3.11.2", "x86_64", (Package("dask", "2026.8.0", "d" * 64),))
CONTENTS = {"environment.yml": b"name: dask", "pip.lock": b"dask"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {
        "dask.pkr.hcl": "source",
        "variables.pkr.hcl": "variable",
        "newer.hcl": "deprecate_at",
        "plugins.pkr.hcl": "only for newer Packers",
        "environment.yml": "not staged unless it is given",
        "scripts/10-system.sh": "true",
        "rootfs/usr/libexec/dask-bake/worker": "exec",
        "rootfs/etc/motd": "hello",
    }
    for name, content in files.items():
        path = tmp_path / "packer" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "packer/rootfs/usr/libexec/dask-bake/worker").chmod(0o755)
    return tmp_path / "packer"


def recipe_of(source: Path, folder: Path) -> Recipe:
    return Recipe("ami-1", "x86_64", "pip", (("user", "admin"),), stage(source, folder, CONTENTS))


def test_the_staged_files_are_the_hashed_files(source: Path, tmp_path: Path) -> None:
    files = stage(source, tmp_path / "stage", CONTENTS)
    staged = [
        path.relative_to(tmp_path / "stage").as_posix()
        for path in (tmp_path / "stage").rglob("*")
        if path.is_file()
    ]
    assert [file.path for file in files] == sorted(staged)
    assert [file.path for file in files] == [
        "dask.pkr.hcl",
        "environment.yml",
        "newer.hcl",
        "pip.lock",
        "rootfs/etc/motd",
        "rootfs/usr/libexec/dask-bake/worker",
        "scripts/10-system.sh",
        "variables.pkr.hcl",
    ]
    assert files[4] == File("rootfs/etc/motd", hashlib.sha256(b"hello").hexdigest(), executable=False)
    assert files[5].executable


def change_script(source: Path) -> None:
    (source / "scripts/10-system.sh").write_text("false")


def change_mode(source: Path) -> None:
    (source / "rootfs/etc/motd").chmod(0o755)


def add_file(source: Path) -> None:
    (source / "rootfs/etc/issue").write_text("")


def rename_file(source: Path) -> None:
    (source / "rootfs/etc/motd").rename(source / "rootfs/etc/issue")


@pytest.mark.parametrize("change", [change_script, change_mode, add_file, rename_file])
def test_a_file_that_changes_changes_the_digest(
    change: Callable[[Path], None], source: Path, tmp_path: Path
) -> None:
    before = recipe_of(source, tmp_path / "before").digest
    change(source)
    assert recipe_of(source, tmp_path / "after").digest != before


@pytest.mark.parametrize(
    "changed",
    [
        {"base_image": "ami-2"},
        {"architecture": "arm64"},
        {"installer": "conda"},
        {"inputs": (("user", "me"),)},
    ],
)
def test_every_other_input_changes_the_digest(
    changed: dict[str, object], source: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(source, tmp_path / "stage")
    assert replace(recipe, **changed).digest != recipe.digest  # type: ignore[arg-type]


def touch(source: Path) -> None:
    os.utime(source / "rootfs/etc/motd", (1, 1))


def leave_litter(source: Path) -> None:
    (source / "rootfs/etc/motd~").write_text("")
    (source / "scripts/__pycache__").mkdir()
    (source / "scripts/__pycache__/x.pyc").write_text("")


def upgrade_plugins(source: Path) -> None:
    (source / "plugins.pkr.hcl").write_text("newer")


def forbid_others(source: Path) -> None:
    (source / "rootfs/etc/motd").chmod(0o600)


@pytest.mark.parametrize("change", [touch, leave_litter, upgrade_plugins, forbid_others])
def test_files_that_git_does_not_track_do_not_change_the_digest(
    change: Callable[[Path], None], source: Path, tmp_path: Path
) -> None:
    before = recipe_of(source, tmp_path / "before").digest
    change(source)
    assert recipe_of(source, tmp_path / "after").digest == before


def test_the_root_file_system_is_packed_reproducibly_and_owned_by_root(source: Path, tmp_path: Path) -> None:
    stage(source, tmp_path / "one", CONTENTS)
    stage(source, tmp_path / "two", CONTENTS)
    one = pack_rootfs(tmp_path / "one") / "rootfs.tar"
    two = pack_rootfs(tmp_path / "two") / "rootfs.tar"
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        members = [(each.name, each.mode, each.uid, each.gid) for each in archive]
    assert members == [("etc/motd", 0o644, 0, 0), ("usr/libexec/dask-bake/worker", 0o755, 0, 0)]


def test_the_manifest_has_the_recipe_and_the_packages(source: Path, tmp_path: Path) -> None:
    recipe = recipe_of(source, tmp_path / "stage")
    manifest = recipe.manifest(LOCK)
    assert (manifest.digest, manifest.python) == (recipe.digest, LOCK.python)
    assert dict(manifest.inputs) == {
        "architecture": recipe.architecture,
        "base_image": recipe.base_image,
        "installer": recipe.installer,
        **dict(recipe.inputs),
    }
    assert (manifest.files, manifest.packages) == (recipe.files, LOCK.packages)


def test_a_symbolic_link_is_refused_because_a_wheel_cannot_hold_it(source: Path, tmp_path: Path) -> None:
    (source / "rootfs/etc/issue").symlink_to("motd")
    with pytest.raises(BakeError, match="is a symbolic link"):
        stage(source, tmp_path / "stage", CONTENTS)


def test_a_missing_file_is_named(source: Path, tmp_path: Path) -> None:
    (source / "variables.pkr.hcl").unlink()
    with pytest.raises(BakeError, match=r"variables\.pkr\.hcl is missing"):
        stage(source, tmp_path / "stage", CONTENTS)
