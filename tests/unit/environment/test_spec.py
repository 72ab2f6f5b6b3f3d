"""environment.yml as conda and pip read it."""

import pytest
import yaml

from dask_bake.assets import packer_directory
from dask_bake.environment.names import without_secrets
from dask_bake.environment.spec import Environment, parse_environment
from dask_bake.errors import UsageError

TEXT = b"""
name: rides
channels: [conda-forge, https://example.org/channel]
dependencies:
  - python=3.11
  - conda-forge::dask>=2025
  - pip
  - pip:
    - not-on-conda==1
"""


def test_an_environment_file_is_parsed_as_conda_does():
    assert parse_environment(TEXT) == Environment(
        name="rides",
        channels=("conda-forge", "https://example.org/channel"),
        specs=("python=3.11", "conda-forge::dask>=2025", "pip"),
        requirements=("not-on-conda==1",),
        text=TEXT,
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"dependencies: [", r"mine\.yml is not YAML: line 1: expected the node content"),
        (b"\xff", r"mine\.yml is not YAML"),
        (b"name: dask", r"mine\.yml has no list of dependencies"),
        (b"[]", r"mine\.yml has no list of dependencies"),
        (b"dependencies: [{conda: [dask]}]", r"mine\.yml has a dependency that is no package"),
        (b"dependencies: [[dask]]", r"mine\.yml has a dependency that is no package"),
        (b"dependencies: [{pip: dask}]", r"mine\.yml has pip: 'dask', which should be a list"),
        (b'dependencies: [{pip: ["a\\nb"]}]', r"mine\.yml has 'a\\nb' under pip, which is several lines"),
        (b"channels: conda-forge\ndependencies: []", r"mine\.yml has channels: 'conda-forge'"),
        (b"name: [a]\ndependencies: []", r"mine\.yml has \['a'\] under name"),
    ],
)
def test_a_malformed_environment_is_refused(text, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        parse_environment(text, "mine.yml")
    assert caught.value.hint


def test_keys_that_are_not_used_are_a_note():
    environment = parse_environment(b"prefix: /opt\nplatforms: [linux-64]\ndependencies: [dask]")
    assert environment.notes == ("environment.yml has platforms, prefix, which dask-bake does not use.",)


@pytest.mark.parametrize("spec", ["numpy; rm", "numpy==", "https://a.example/numpy.conda", "[]"])
def test_a_malformed_spec_is_refused(spec):
    with pytest.raises(UsageError, match=r"is not a conda spec|is not the address of a conda package"):
        parse_environment(yaml.safe_dump({"dependencies": ["dask", spec]}).encode())


def test_the_default_environment_is_valid():
    environment = parse_environment((packer_directory() / "environment.yml").read_bytes())
    assert (environment.name, environment.channels) == ("dask", ("conda-forge",))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pass@a.example/x", "https://a.example/x"),
        ("https://me:p@ss@a.example/x", "https://a.example/x"),
        (
            "https://a.example/t/tok-en/x and http://b.example/c/t/to_k/y",
            "https://a.example/x and http://b.example/c/y",
        ),
        ("file:///home/me/t/channel/noarch", "file:///home/me/t/channel/noarch"),
    ],
)
def test_urls_are_shown_without_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
