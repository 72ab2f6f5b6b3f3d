"""Locks solved by the real rattler from channels on loopback, and locks that are read."""

from pathlib import Path

import pytest

from conda_channel import index_channel
from conda_packages import make_package
from conda_server import Served, serve
from conda_solving import ARM, X86, locked, names
from dask_bake.environment.conda.solve import read_lock, unsatisfied
from dask_bake.errors import BakeError, UsageError
from dask_bake.system.files import sha256_of


def test_a_lock_holds_channel_address_hash_and_build(folder: Path, served: Served) -> None:
    lock = locked(["a"], served.url)
    assert [each.url.removeprefix(served.url) for each in lock.archives] == [
        "/noarch/a-1.0-0.conda",
        "/linux-64/b-1.5-h1_0.conda",
        "/noarch/python-3.11.9-0.conda",
    ]
    b = lock.archives[1].package
    assert (b.kind, b.build, b.channel, b.subdir) == ("conda", "h1_0", served.url, "linux-64")
    assert b.sha256 == sha256_of(folder / "linux-64" / "b-1.5-h1_0.conda")
    assert (lock.python, lock.channels) == ("3.11.9", (served.url,))
    assert lock.text.startswith("# ours\nversion: ")


def test_only_python_packages_of_conda_are_constraints_for_pip(served: Served) -> None:
    assert locked(["a"], served.url).projects == {"b": "1.5"}


def test_arm64_takes_that_platform_s_packages(served: Served) -> None:
    lock = locked(["b", "for-aarch64"], served.url, architecture=ARM)
    assert [each.package.build for each in lock.archives if each.package.name == "b"] == ["h2_0"]
    with pytest.raises(BakeError, match="__archspec"):
        locked(["for-x86_64"], served.url, architecture=ARM)


@pytest.mark.parametrize(
    ("spec", "environ", "is_solved"),
    [
        ("old", {}, True),
        ("new", {}, False),
        ("new", {"CONDA_OVERRIDE_GLIBC": "2.40"}, True),
        ("old", {"CONDA_OVERRIDE_GLIBC": ""}, False),
        ("for-x86_64", {}, True),
    ],
)
def test_specs_are_solved_with_the_image_s_virtual_packages(spec, environ, is_solved, served) -> None:
    if is_solved:
        assert names(locked([spec], served.url, environ=environ)) == [f"{spec} 1"]
    else:
        with pytest.raises(BakeError, match="__glibc"):
            locked([spec], served.url, environ=environ)


def test_an_invalid_version_of_a_virtual_package_is_refused(served: Served) -> None:
    with pytest.raises(UsageError, match=r"CONDA_OVERRIDE_GLIBC is 't w o'"):
        locked(["old"], served.url, environ={"CONDA_OVERRIDE_GLIBC": "t w o"})


def test_an_unsolvable_environment_is_an_error_with_the_solver_s_explanation(served: Served) -> None:
    with pytest.raises(BakeError) as caught:
        locked(["a 2.*"], served.url)
    assert caught.value.message.splitlines() == [
        "the environment cannot be solved: a 2.* cannot be installed because there are no viable options:",
        "└─ a 2.0 would require",
        "   └─ b >=2, for which no candidates were found.",
    ]


@pytest.mark.parametrize("spec", ["a==", "a[x=1]", ""])
def test_a_malformed_spec_is_named(spec: str, served: Served) -> None:
    with pytest.raises(UsageError, match="is not a conda spec") as caught:
        locked(["b", spec], served.url)
    assert caught.value.message.startswith(f"'{spec}'")
    assert served.requests == []


def test_the_first_channel_wins_unless_priority_is_disabled(tmp_path: Path, served: Served) -> None:
    make_package(tmp_path, "b", "9.0")
    index_channel(tmp_path)
    with serve(tmp_path) as other:
        first = locked(["b"], served.url, other.url)
        disabled = locked(["b"], served.url, other.url, channel_priority="disabled")
    assert (names(first)[0], names(disabled)[0]) == ("b 1.5", "b 9.0")
    assert disabled.archives[0].package.channel == other.url


def test_a_lock_is_unchanged_by_writing_and_reading(served: Served) -> None:
    lock = locked(["a"], served.url)
    again = read_lock(lock.text, X86, origin="x")
    assert again == lock
    assert unsatisfied(["a", f"{served.url}::b", "b 1.*"], again) == ()
    assert unsatisfied(["a 2.*", "b", "zz"], again) == ("a 2.*", "zz")


EMPTY = "version: 6\nenvironments: {}\npackages: []\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "mine is not a lock: missing `version` field"),
        ("[", "mine is not a lock: "),
        ("\0", "mine is not a lock: "),
        ("version: 99\n", "mine is not a lock: found newer lockfile format version 99"),
        (EMPTY, "mine locks nothing for linux-64"),
    ],
)
def test_an_invalid_lock_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_lock(text, X86, origin="mine")


def test_a_lock_for_another_platform_is_refused(served: Served) -> None:
    with pytest.raises(UsageError, match="mine locks nothing for linux-aarch64"):
        read_lock(locked(["old"], served.url).text, ARM, origin="mine")


def test_a_conda_lock_with_pip_packages_is_refused(served: Served) -> None:
    text = locked(["old"], served.url).text
    wheel = "https://a.example/w-1-py3-none-any.whl"
    text = text.replace("packages:\n-", f"packages:\n- pypi: {wheel}\n  name: w\n  version: '1'\n-")
    text = text.replace("      linux-64:\n", f"      linux-64:\n      - pypi: {wheel}\n")
    with pytest.raises(UsageError, match="mine locks packages of pip's too"):
        read_lock(text, X86, origin="mine")
