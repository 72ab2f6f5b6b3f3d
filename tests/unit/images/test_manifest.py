"""A manifest as JSON and as tags."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from dask_bake.environment.pip_lock import Package
from dask_bake.images.manifest import File, Manifest, as_tags, from_tags, parse, render


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def a_package(number: int) -> Package:
    """Return a wheel for an even number, a conda package for an odd one."""
    sha256 = hashed(str(number))
    if number % 2:
        return Package(
            f"name-{number}", f"1.{number}", sha256, "conda", f"h{sha256[:7]}_0", "conda-forge", "linux-64"
        )
    return Package(f"name-{number}", f"2.{number}", sha256)


def a_manifest(packages: int = 3) -> Manifest:
    return Manifest(
        digest=hashed("digest"),
        python="3.11.2",
        inputs=(("base_image", "ami-1"), ("installer", "conda")),
        files=(File("scripts/10-a.sh", hashed("a"), executable=True), File("environment.yml", hashed("b"))),
        packages=tuple(map(a_package, range(packages))),
    )


def test_a_manifest_is_unchanged_by_json():
    assert parse(json.loads(render(a_manifest()))) == a_manifest()


def test_an_empty_field_is_not_written():
    wheel = json.loads(render(a_manifest()))["packages"][0]
    assert wheel == {"name": "name-0", "version": "2.0", "sha256": hashed("0"), "kind": "pypi"}


@pytest.mark.parametrize("packages", [1, 40, 200])
def test_a_manifest_is_unchanged_by_tags(packages):
    image, snapshot = as_tags(a_manifest(packages))
    assert from_tags((*snapshot, *image)) == a_manifest(packages)
    assert max(len(value) for _, value in (*image, *snapshot)) <= 256
    assert (len(image) <= 30, len(snapshot) <= 34) == (True, True)


def test_the_image_s_tags_alone_have_everything_except_some_hashes():
    image, snapshot = as_tags(a_manifest(200))
    read = from_tags(image)
    assert snapshot
    assert read is not None
    assert [replace(package, sha256="") for package in read.packages] == [
        replace(package, sha256="") for package in a_manifest(200).packages
    ]
    assert read.packages[0].sha256 == hashed("0")
    assert not read.has_hashes


def test_hashes_that_do_not_fit_into_the_tags_are_left_out():
    image, snapshot = as_tags(a_manifest(400))
    read = from_tags((*image, *snapshot))
    assert read is not None
    hashes = [package.sha256 for package in read.packages]
    known = len(list(filter(None, hashes)))
    assert (len(read.packages), read.has_hashes) == (400, False)
    assert 100 < known < 400
    assert hashes[:known] == [package.sha256 for package in a_manifest(400).packages[:known]]
    assert (len(image), len(snapshot)) == (30, 34)


@pytest.mark.parametrize("value", ["", "no base64!", "AAAA", "aGVsbG8gd29ybGQ="])
def test_invalid_tags_are_no_manifest(value):
    assert from_tags((("Name", "x"), ("dask-bake:manifest-00", value))) is None
