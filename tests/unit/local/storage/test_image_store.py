"""Images on disk: they outlive the server, and their layers are removed with them."""

import os
from dataclasses import replace

import pytest

from dask_bake.local.settings import Settings
from dask_bake.local.storage.image_store import ImageStore, StoredImage, StoredSnapshot, bytes_on_disk

OLD = StoredImage("ami-2", "old", "", "1", "us-east-1", "2026-01-01T00:00:00.000Z", ("base", "a"))
NEW = StoredImage(
    "ami-1", "new", "text", "1", "eu-west-1", "2026-01-02T00:00:00.000Z", ("base", "b"), tags={"k": "v"}
)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(root=tmp_path / "root")


@pytest.fixture
def store(settings) -> ImageStore:
    return ImageStore(settings)


def test_saved_images_are_loaded_oldest_first(store, settings):
    for image in (NEW, OLD):
        store.save(image)

    assert ImageStore(settings).all() == (OLD, NEW)
    assert (store.get("ami-1"), store.get("ami-3")) == (NEW, None)


def test_saving_an_image_again_replaces_it(store):
    store.save(NEW)
    store.save(replace(NEW, tags={}))

    assert store.all() == (replace(NEW, tags={}),)


def test_removing_an_image_twice_is_no_error(store):
    store.save(OLD)
    for _ in range(2):
        store.remove("ami-2")

    assert store.all() == ()


def test_a_sweep_keeps_layers_in_use(store, settings):
    store.save(OLD)
    for name in ("base", "a", "b", "c", "base-old", "draft-x"):
        (store.layer(name) / "etc").mkdir(parents=True)

    store.sweep(keep=("b",))
    assert {path.name for path in settings.layers.iterdir()} == {"base", "a", "b", "base-old", "draft-x"}

    store.sweep(keep=("b",), at_start=True)
    assert {path.name for path in settings.layers.iterdir()} == {"base", "a", "b"}


def test_a_failed_write_keeps_the_previous_image_and_no_temporary_file(store, settings):
    store.save(OLD)

    with pytest.raises(TypeError):
        store.save(replace(OLD, tags={"bad": object()}))  # type: ignore[dict-item]

    assert store.all() == (OLD,)
    assert [path.name for path in settings.images.iterdir()] == ["ami-2.json"]


def test_snapshots_are_stored_separately_from_their_images(store, settings):
    kept = StoredSnapshot("snap-7", "1", "us-east-1", "ami-2", OLD.created, encrypted=True, users=("2",))
    store.save(replace(OLD, snapshot="snap-7"))
    store.save_snapshot(kept)
    store.remove("ami-2")

    assert ImageStore(settings).snapshots() == (kept,)
    store.remove_snapshot("snap-7")
    assert store.snapshots() == ()


def test_an_image_saved_without_a_snapshot_record_gets_one(store):
    assert store.snapshot_of(OLD) == StoredSnapshot("snap-2", "1", "us-east-1", "ami-2", OLD.created)
    named = replace(OLD, snapshot="snap-7", launch_permissions=({"UserId": "2"},))
    store.save(named)
    store.save_snapshot(StoredSnapshot("snap-7", "1", "us-east-1", "ami-2", OLD.created, volume_size=12))

    assert store.all() == (named,)
    assert store.snapshot_of(named).volume_size == 12


def test_hard_links_count_once_and_symbolic_links_do_not_count(tmp_path):
    outside, one, two = (tmp_path / name for name in ("outside", "one", "two"))
    for folder in (outside, one, two):
        folder.mkdir()
    (outside / "large").write_bytes(os.urandom(1_000_000))
    (one / "file").write_bytes(os.urandom(100_000))
    alone = bytes_on_disk([one])
    (two / "same").hardlink_to(one / "file")
    (two / "link").symlink_to(outside / "large")
    (two / "folder").symlink_to(outside)

    assert 100_000 <= alone < 150_000
    assert bytes_on_disk([one, two]) < 200_000


def test_a_missing_tree_has_a_size_of_zero(tmp_path):
    assert bytes_on_disk([tmp_path / "none"]) == 0
