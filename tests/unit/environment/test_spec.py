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
    ("text", "message"),
    [
        (b"dependencies: [", r"mine\.yml is not YAML: line 1: expected the node content"),
        (b"\xff", r"mine\.yml is not YAML"),
        (b"name: dask", r"mine\.yml has no list of dependencies"),
        (b"[]", r"mine\.yml has no list of dependencies"),
        (b"dependencies: [{conda: [dask]}]", r"mine\.yml has a dependency that is no package"),
        (b"dependencies: [[dask]]", r"mine\.yml has a dependency that is no package"),
        (b"dependencies: [{pip: dask}]", r"mine\.yml has pip: 'dask', which should be a list"),
        (b"dependencies: [python, 3.10]", r"no package: '3\.10'"),
        (b"dependencies: [{python: 3.10}]", r"no package: \{'python': '3\.10'\}"),
        (
            b"dependencies: [dask]\nname: a\nname: b",
            r"mine\.yml is not YAML: line 3: the key name is there twice",
        ),
        (b"name: f\xfcr\ndependencies: []", r"mine\.yml is not YAML: byte 7 is not UTF-8"),
        (b"dependencies: []\n#" + b" " * (1 << 20), r"mine\.yml has 1 MiB, which is no list of packages"),
        (b"channels: conda-forge\ndependencies: []", r"mine\.yml has channels: 'conda-forge'"),
        (b"name: [a]\ndependencies: []", r"mine\.yml has \['a'\] under name"),
    ],
)
def test_a_malformed_environment_is_refused(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_environment(text, "mine.yml")
    assert caught.value.hint


def test_scalars_are_as_they_are_written():
    environment = parse_environment(b"name: 2024\nchannels: [1.10]\ndependencies: [dask, {pip: [yes]}]")
    assert (environment.name, environment.channels, environment.requirements) == ("2024", ("1.10",), ("yes",))


def test_a_line_of_the_pip_part_can_be_several():
    environment = parse_environment(b'dependencies: [dask, {pip: ["a\\n b # c\\n"]}, {pip: [d]}, {pip: }]')
    assert environment.requirements == ("a", "b # c", "d")


@pytest.mark.parametrize(
    "text", [b"name: {{ name }}\ndependencies: []", b"{% set x = 1 %}\ndependencies: []"]
)
def test_a_template_is_refused_with_its_own_hint(text):
    with pytest.raises(UsageError) as caught:
        parse_environment(text)
    assert caught.value.hint == "templates are not filled in: write the values"


def test_keys_that_merge_are_not_there_twice():
    text = b"one: &one {name: a, dependencies: [dask]}\ntwo: &two {<<: *one, name: b}\n<<: *two\nname: c\n"
    assert parse_environment(text).name == "c"


def test_aliases_of_aliases_are_not_written_out():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(UsageError) as caught:
        parse_environment("\n".join([*lines, "dependencies: [*a11]"]).encode())
    assert len(caught.value.message) < 2000


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
        ("https://a.example/x?access_token=s3", "https://a.example/x"),
        (
            "'https://a.example/x?v=1&X-Amz-Signature=s3&sig=s3&w=2#sha256=1'",
            "'https://a.example/x?v=1&w=2#sha256=1'",
        ),
    ],
)
def test_urls_are_shown_without_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
