"""The list of images: look-up with snapshots, users and newest base."""

from dataclasses import replace

from dask_bake.images import catalog
from dask_bake.images.facts import ImageFacts
from fake_images import BASE, NEWER_BASE, FakeImages, a_snapshot, an_image


def test_images_are_looked_up_with_their_snapshots_users_and_newest_base():
    old, new = an_image(1, days=9), an_image(2)
    ec2 = FakeImages(
        images=[old, new],
        snapshot_list=[a_snapshot(1)],
        users={new.id: ("docs",)},
        bases=(replace(an_image(8), name=NEWER_BASE), replace(an_image(9), name=BASE)),
    )

    assert catalog.look_up(ec2) == (
        ImageFacts(new, None, ("docs",), NEWER_BASE),
        ImageFacts(old, a_snapshot(1), (), NEWER_BASE),
    )
    assert ec2.calls == [("published", ("debian-12-amd64-*",))]


def test_without_images_nothing_else_is_requested():
    ec2 = FakeImages()
    assert (catalog.look_up(ec2), ec2.calls) == ((), [])
