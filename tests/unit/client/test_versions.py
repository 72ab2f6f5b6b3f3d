"""Versions of a client against those of its cluster."""

import platform
import warnings
from dataclasses import replace

import distributed
import pytest
from distributed.versions import VersionMismatchWarning, error_message

from dask_bake.client.versions import check_versions, ignore_patch_releases, warn_of_versions
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.tags import Tag
from fakes import IMAGE, a_cluster

PATCH = "| python | 3.11.7.final.0 | 3.11.2.final.0 | 3.11.2.final.0 |\n"
MINOR = "| python | 3.13.1.final.0 | 3.11.2.final.0 | 3.11.2.final.0 |\n"
PACKAGE = "| distributed | 2026.7.0 | 2026.8.0 | 2026.8.0 |\n"
BORDER = "+---------+----------------+----------------+----------------+\n"
HEADER = f"Mismatched versions found\n\n{BORDER}| Package | Client | Scheduler | Workers |\n{BORDER}"


WITHOUT_WORKERS = error_message(
    {"packages": {"python": "3.11.2.final.0"}}, {}, {"packages": {"python": "3.11.12.final.0"}}
)["warning"]


def warned_of(text, category=VersionMismatchWarning):
    """Return whether a warning is shown, in a process that shows all others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ignore_patch_releases()
        warnings.warn(category(text), stacklevel=1)
    return bool(caught)


@pytest.mark.parametrize(
    ("rows", "is_shown"),
    [(PATCH, False), (MINOR, True), (PACKAGE, True), (PACKAGE + PATCH, True), (PATCH + PACKAGE, True)],
)
def test_only_a_mismatch_of_the_python_patch_release_is_suppressed(rows, is_shown):
    """A different minor version, or any package, is worth a warning."""
    assert warned_of(HEADER + rows + BORDER) is is_shown


def test_the_pattern_is_of_dask_s_own_table():
    """Of a scheduler, which may have no worker, and of one worker."""
    assert not warned_of(WITHOUT_WORKERS)
    assert not warned_of(mismatch("3.11.2.final.0"))
    assert warned_of(mismatch("3.12.0.final.0"))
    assert warned_of(mismatch("3.1.1.final.0"))


def mismatch(cluster):
    """Return Dask's text about a client of Python 3.11.12 and a cluster of another."""
    there = {"packages": {"python": cluster}}
    return error_message(there, {"one": there}, {"packages": {"python": "3.11.12.final.0"}})["warning"]


def test_other_warnings_are_passed_on():
    """All other warnings are shown, also with that text."""
    assert warned_of("something else")
    assert warned_of(HEADER + PATCH + BORDER, UserWarning)


HEAD = a_cluster().head


def versions(python: str):
    return ((Tag.PYTHON, python), (Tag.DISTRIBUTED, distributed.__version__))


class Ec2WithImage:
    """EC2 that has one image, or refuses to show it."""

    def __init__(self, python: str = "", *, error: BakeError | None = None) -> None:
        self.tags = versions(python) if python else ()
        self.error = error

    def image(self, image_id):
        if self.error is not None:
            raise self.error
        return replace(IMAGE, id=image_id, tags=self.tags)


@pytest.mark.parametrize(
    ("ec2", "tags"),
    [
        (Ec2WithImage("3.99.1"), ()),
        (Ec2WithImage(error=BakeError("the image does not exist")), versions("3.99.1")),
        (Ec2WithImage(platform.python_version()), versions("3.99.1")),
    ],
)
def test_a_client_with_another_minor_version_of_python_is_refused(ec2, tags):
    """The head has the versions as tags, even if the image is gone; older clusters only have the image's."""
    says = r"the cluster dask has Python 3\.99\.1, this machine Python 3\.\d+"
    with pytest.raises(UsageError, match=says) as raised:
        check_versions(ec2, replace(HEAD, tags=tags), "dask")

    assert "uv run --python 3.99" in raised.value.hint
    assert "allow_mismatch=True" in raised.value.hint


def test_a_client_of_the_cluster_s_versions_is_accepted():
    head = replace(HEAD, tags=versions(platform.python_version()))
    assert check_versions(Ec2WithImage(), head, "dask") is True
    assert check_versions(Ec2WithImage(platform.python_version()), HEAD, "dask") is True


@pytest.mark.parametrize("ec2", [Ec2WithImage(), Ec2WithImage(error=BakeError("the image does not exist"))])
def test_versions_that_are_unknown_are_a_warning(ec2):
    assert check_versions(ec2, HEAD, "dask") is False
    with pytest.warns(UserWarning, match="The versions of the cluster dask are unknown"):
        warn_of_versions(HEAD, "dask")
