"""pip.lock, read and written."""

import hashlib

import pytest

from dask_bake.assets import packer_directory
from dask_bake.environment.pip_lock import Lock, Package, parse_lock, render_lock
from dask_bake.errors import BakeError
from dask_bake.models.debian import RELEASES, DebianRelease


def text_for(release: DebianRelease) -> str:
    """The lock in the checkout for the release's Python."""
    return (packer_directory() / f"py{release.python_minor.replace('.', '')}.pip.lock").read_text()


LOCK = Lock(
    "e" * 64, "3.11.2", "x86_64", (Package("dask", "2026.8.0", "d" * 64), Package("pip", "26.3", "a" * 64))
)
TEXT = f"""\
# Made from environment.yml by `dask-bake lock`: change that file, not this one.
# environment: {"e" * 64}
# python: 3.11.2
# platform: x86_64
dask==2026.8.0 --hash=sha256:{"d" * 64}
pip==26.3 --hash=sha256:{"a" * 64}
"""


def test_a_lock_is_written_as_pip_reads_it() -> None:
    assert render_lock(LOCK) == TEXT


def test_a_lock_is_read_as_it_was_written() -> None:
    assert parse_lock(TEXT) == LOCK


@pytest.mark.parametrize("line", ["dask>=2026", "dask==2026.8.0", "--index-url=somewhere"])
def test_a_lock_with_anything_not_pinned_and_hashed_is_refused(line: str) -> None:
    with pytest.raises(BakeError) as caught:
        parse_lock(f"{TEXT}{line}\n")
    assert caught.value.message == f"pip.lock has a line that is not a pinned, hashed package: {line}"


def test_a_lock_without_its_header_is_refused() -> None:
    with pytest.raises(BakeError, match=r"does not say its environment, python, platform"):
        parse_lock("")


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_the_lock_in_the_checkout_is_that_of_its_environment(release: DebianRelease) -> None:
    lock = parse_lock(text_for(release))
    assert lock.python == release.python
    environment = (packer_directory() / "environment.yml").read_bytes()
    assert lock.environment == hashlib.sha256(environment).hexdigest()
    names = {package.name for package in lock.packages}
    assert {
        "pip",
        "dask",
        "distributed",
        "bokeh",
        "numpy",
        "pandas",
        "pyarrow",
        "s3fs",
        "ipython",
        "jupyterlab",
    } <= names


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_the_lock_names_no_host(release: DebianRelease) -> None:
    assert "/" not in text_for(release)
