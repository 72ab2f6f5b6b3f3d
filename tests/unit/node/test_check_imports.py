"""How the modules of an environment are found and divided; test_check.py runs the whole program."""

from pathlib import PurePosixPath

import pytest

from node_programs import load

program = load("check-imports")


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["one/__init__.py", "one/part/__init__.py", "one/other.py"], {"one"}),
        (["space/a/__init__.py", "space/b/__init__.py"], {"space.a", "space.b"}),
        (["single.py", "fast.cpython-311-x86_64-linux-gnu.so"], {"single", "fast"}),
        (["open.py", "_closed.py"], {"open"}),
        (["_closed.py"], {"_closed"}),
        (["tests/__init__.py", "setup.py", "docs/conf.py"], set()),
        (["../../bin/run.py", "/etc/run.py", "not-a-name.py", "data/file.txt"], set()),
    ],
)
def test_modules_are_topmost_packages_and_single_files(files, modules):
    assert program.modules_in([PurePosixPath(name) for name in files]) == modules


def test_a_package_and_its_requirements_are_one_family():
    requires = {"a": {"b"}, "b": {"c", "b"}, "c": set(), "d": set()}

    assert program.needed_by("a", requires) == {"a", "b", "c"}


def test_families_stay_together_and_shares_are_even():
    modules = {"a": "A_a", "b": "b", "c": "c", "d": "d", "e": "not-a-distribution"}
    requires = {"a-a": {"b"}, "b": set(), "c": set(), "d": set()}

    assert program.shares(modules, requires, 2) == [["a", "b", "e"], ["c", "d"]]
    assert program.shares(modules, requires, 8) == [["a", "b"], ["c"], ["d"], ["e"]]


@pytest.mark.parametrize("name", ["Nice.One", "nice_one", "nice--one", "nice-._one"])
def test_names_are_compared_as_pypi_does(name):
    assert program.normalized(name) == "nice-one"
