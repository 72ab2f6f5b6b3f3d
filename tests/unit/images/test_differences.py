"""Differences between two images' manifests."""

from dataclasses import replace

import pytest

from dask_bake.environment.pip_lock import Package
from dask_bake.images.differences import Change, Difference, Differences, differences
from dask_bake.images.manifest import File
from fake_images import MANIFEST


def test_equal_manifests_do_not_differ():
    assert differences(MANIFEST, MANIFEST) == Differences()
    assert not differences(MANIFEST, MANIFEST)


def test_inputs_files_and_packages_are_compared_one_by_one():
    after = replace(
        MANIFEST,
        python="3.13.1",
        inputs=(("base_image", "ami-new"), ("volume_size", "12")),
        files=(File("environment.yml", "f" * 64), File("scripts/20-new.sh", "b" * 64)),
        packages=(
            Package("dask", "2026.9.0", "1" * 64),
            Package("numpy", "2.3.0", "2" * 64, "conda", "py313_0", "conda-forge", "linux-64"),
            Package("pip", "26.3", "3" * 64),
        ),
    )
    assert differences(MANIFEST, after) == Differences(
        inputs=(
            Difference("base_image", Change.CHANGED, "ami-base", "ami-new"),
            Difference("installer", Change.REMOVED, before="pip"),
            Difference("python", Change.CHANGED, "3.11.2", "3.13.1"),
            Difference("volume_size", Change.ADDED, after="12"),
        ),
        files=(
            Difference("environment.yml", Change.CHANGED, "eeeeeeeeeeee", "ffffffffffff"),
            Difference("scripts/10-system.sh", Change.REMOVED, before="aaaaaaaaaaaa executable"),
            Difference("scripts/20-new.sh", Change.ADDED, after="bbbbbbbbbbbb"),
        ),
        packages=(
            Difference("dask", Change.CHANGED, "2026.8.0", "2026.9.0"),
            Difference("numpy", Change.CHANGED, "2.3.0 py311_0", "2.3.0 py313_0"),
            Difference("pip", Change.ADDED, after="26.3"),
        ),
    )


@pytest.mark.parametrize(
    ("after", "shown"),
    [
        ({"sha256": "9" * 64}, ("2.3.0 cccccccccccc", "2.3.0 999999999999")),
        ({"channel": "main"}, ("2.3.0 of conda-forge linux-64", "2.3.0 of main linux-64")),
        ({"sha256": ""}, None),
    ],
)
def test_packages_of_one_version_differ_by_channel_or_hash(after, shown):
    numpy = MANIFEST.packages[1]
    found = differences(
        replace(MANIFEST, packages=(numpy,)), replace(MANIFEST, packages=(replace(numpy, **after),))
    )
    assert found.packages == ((Difference("numpy", Change.CHANGED, *shown),) if shown else ())


def test_a_wheel_and_a_conda_package_of_one_name_are_different_packages():
    numpy = MANIFEST.packages[1]
    wheel = Package("numpy", "2.3.0", "c" * 64)
    found = differences(replace(MANIFEST, packages=(numpy,)), replace(MANIFEST, packages=(wheel,)))
    assert found.packages == (
        Difference("numpy", Change.REMOVED, before="2.3.0 py311_0"),
        Difference("numpy", Change.ADDED, after="2.3.0"),
    )
