"""`dask-bake launch` around the launch: warnings, versions, and the metadata file."""

import platform
from dataclasses import replace
from importlib import metadata

import pytest

from dask_bake.commands.launch import notes, write_metadata
from dask_bake.errors import LeftoverError, UsageError
from dask_bake.images.compatibility import Packages, installed_packages
from dask_bake.models.tags import Tag, Verified
from fakes import IMAGE, a_cluster, a_plan, hint_of

BAKED = replace(
    IMAGE,
    tags=(
        (Tag.BASE_NAME, "debian-12-amd64-20260101-1234"),
        (Tag.DISTRIBUTED, "2026.8.0"),
        (Tag.MANAGED, "true"),
        (Tag.NUMPY, "2.0.0"),
        (Tag.VERIFIED, Verified.SKIPPED),
    ),
)
CLIENT = Packages("3.11.7", distributed="2026.8.0", numpy="2.4.6")


def test_if_the_file_cannot_be_written_the_cluster_stays_up(tmp_path):
    """The error has exit code 3, the cluster's name, and the command that ends it."""
    with pytest.raises(
        LeftoverError, match="could not be written: Is a directory; the cluster mine is running"
    ) as caught:
        write_metadata(tmp_path, {}, a_cluster(a_plan(name="mine")))

    assert caught.value.exit_code == 3
    assert "dask-bake down mine" in hint_of(caught.value)


def test_each_warning_is_given_once():
    plan = a_plan(image=BAKED, nprocs=9)

    assert notes(plan, CLIENT, now=IMAGE.created) == (
        "The image has numpy 2.0.0, this machine 2.4.6: data that one side sends may not work on the other.",
        "The image ami-0123456789abcdef0 was not verified: dask-bake bake verifies it.",
        "9 worker processes of 1 thread share the 8 virtual CPUs of a m6i.2xlarge.",
    )


def test_a_plan_that_fits_has_no_warnings():
    assert notes(a_plan(), CLIENT, now=IMAGE.created) == ()


def test_a_version_mismatch_is_an_error_unless_it_is_allowed():
    other = replace(CLIENT, distributed="2025.1.0", numpy=None)
    image = replace(BAKED, tags=((Tag.DISTRIBUTED, "2026.8.0"),))

    with pytest.raises(UsageError, match=r"distributed 2026\.8\.0, this machine distributed 2025\.1\.0"):
        notes(a_plan(image=image), other, now=IMAGE.created)
    assert notes(a_plan(image=image, allow_mismatch=True), other, now=IMAGE.created) == (
        "The image has distributed 2026.8.0, this machine 2025.1.0:"
        " a client on this machine may fail to use the cluster.",
    )


def test_the_client_s_packages_are_those_of_this_environment():
    installed = {each.name.lower(): each.version for each in metadata.distributions()}

    assert installed_packages() == Packages(
        python=platform.python_version(),
        dask=installed.get("dask"),
        distributed=installed.get("distributed"),
        numpy=installed.get("numpy"),
        pandas=installed.get("pandas"),
    )
