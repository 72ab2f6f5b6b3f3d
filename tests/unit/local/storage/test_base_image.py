"""Base images: digest, mmdebstrap command, creation."""

import re
from pathlib import Path

import pytest

from dask_bake.local.settings import Settings
from dask_bake.local.storage import base_image
from dask_bake.local.storage.image_store import ImageStore
from dask_bake.models.debian import BOOKWORM, RELEASES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PACKAGES", ("bash",)),
        ("FILES", {"etc/hostname": "other\n"}),
        ("ENABLED", ("ssh.service",)),
    ],
)
def test_different_inputs_make_different_base_images(monkeypatch, name, value):
    before = base_image.base_digest(BOOKWORM)

    monkeypatch.setattr(base_image, name, value)

    assert base_image.base_digest(BOOKWORM) != before
    assert re.fullmatch("[0-9a-f]{64}", before)
    assert len({base_image.base_digest(release) for release in RELEASES}) == len(RELEASES)


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_mmdebstrap_makes_the_tree_without_documentation(release):
    command = base_image.debootstrap_command(release, Path("/tree"))

    target = command.index("/tree")
    assert (command[0], command[target - 1]) == ("mmdebstrap", release.codename)
    assert f"--include={','.join(base_image.PACKAGES)}" in command
    assert "--dpkgopt=path-exclude=/usr/share/doc/*" in command


def test_an_existing_base_image_is_not_made_again(tmp_path):
    store = ImageStore(Settings(root=tmp_path))
    digest = base_image.base_digest(BOOKWORM)
    image = base_image._describe(BOOKWORM, digest, "us-east-1")
    store.save(image)
    bases = base_image.BaseImages(store, region="us-east-1", publish=pytest.fail)

    found = bases.ensure(BOOKWORM)

    assert (found, bases.names()) == (image, ("debian-12",))
    assert (found.owner, found.public, found.layers) == (
        "136693071363",
        True,
        (f"base-{digest[:17]}",),
    )
    assert re.fullmatch(r"debian-12-amd64-\d{8}-local", found.name)
