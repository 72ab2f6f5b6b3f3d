"""environment.yml and pip.lock, read and written."""

import hashlib

import pytest

from dask_bake.assets import packer_directory
from dask_bake.errors import BakeError, UsageError
from dask_bake.lock import Lock, Package, check_lock, parse_lock, pip_requirements, render_lock

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


def test_a_lock_of_another_environment_is_refused() -> None:
    content = b"name: dask\n"
    check_lock(Lock(hashlib.sha256(content).hexdigest(), "3.11.2", "x86_64", ()), content)
    with pytest.raises(BakeError, match=r"not the one that pip\.lock was made from"):
        check_lock(LOCK, content)


def test_condas_words_become_pips() -> None:
    environment = b"""
    dependencies:
      - python=3.11
      - python-dateutil
      - dask
      - conda-forge::numpy=2.1
      - pandas>=2
      - bokeh==3.9.2
      - pip
      - pip: [not-on-conda==1]
    """
    assert pip_requirements(environment) == (
        "python-dateutil",
        "dask[array,dataframe,diagnostics,distributed]",
        "numpy==2.1.*",
        "pandas>=2",
        "bokeh==3.9.2",
        "not-on-conda==1",
        "pip",
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (b"dependencies: [", r"is not YAML"),
        (b"\xff", r"is not YAML"),
        (b"name: dask", r"has no list of dependencies"),
        (b"[]", r"has no list of dependencies"),
        (b"dependencies: [numpy=1.26=py311_0]", r"asks for 'numpy=1.26=py311_0'"),
        (b"dependencies: ['numpy; rm']", r"asks for 'numpy; rm'"),
    ],
)
def test_a_malformed_environment_is_a_sentence(environment: bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        pip_requirements(environment)


def test_the_lock_in_the_checkout_is_that_of_its_environment() -> None:
    lock = parse_lock((packer_directory() / "pip.lock").read_text())
    check_lock(lock, (packer_directory() / "environment.yml").read_bytes())
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


def test_the_lock_names_no_host() -> None:
    assert "/" not in (packer_directory() / "pip.lock").read_text()
