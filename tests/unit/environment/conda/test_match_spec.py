"""conda's specs, as rattler parses them."""

import pytest

from dask_bake.environment.conda.condarc import CondaSettings
from dask_bake.environment.conda.match_spec import allows, parse_spec, pip_version
from dask_bake.errors import UsageError

SETTINGS = CondaSettings(channel_alias="https://m.example")


@pytest.mark.parametrize(
    ("text", "located"),
    [
        ("numpy >=1.2, <2", "numpy >=1.2, <2"),
        ("lab::numpy=2", "https://m.example/lab::numpy=2"),
        ("lab/noarch::numpy", "https://m.example/lab/noarch::numpy"),
        ("https://a.example/lab::numpy", "https://a.example/lab::numpy"),
        ("lab::dask[complete] >=2", "https://m.example/lab::dask >=2"),
        (
            "https://a.example/lab/noarch/x-y-1.2-py_0.conda",
            "https://a.example/lab::x-y[version='==1.2', build='py_0', subdir=noarch]",
        ),
    ],
)
def test_a_channel_is_where_the_settings_say(text, located):
    assert parse_spec(text).located(SETTINGS) == located


@pytest.mark.parametrize("digest", ["a" * 32, f"sha256:{'a' * 64}"])
def test_the_address_of_a_package_can_have_a_hash(digest):
    spec = parse_spec(f"https://a.example/lab/noarch/x-1-0.tar.bz2#{digest}")
    assert (spec.name, spec.channel, spec.version, spec.build) == ("x", "https://a.example/lab", "==1", "0")
    assert f"={digest.rpartition(':')[2]}]" in spec.match


def test_extras_are_not_brackets_of_conda():
    spec = parse_spec("conda-forge::dask[array, complete] >=2")
    assert (spec.name, spec.extras, spec.version) == ("dask", ("array", "complete"), ">=2")
    assert parse_spec("dask[version='>=2']").extras == ()
    assert parse_spec("dask[complete][version='>=2']").match == "dask[version='>=2']"
    assert parse_spec("dask[extras=[complete]]").extras == ("complete",)


@pytest.mark.parametrize("text", ["x[build_number='>=2']", "x=1=py_0", f"x[md5={'a' * 32}]"])
def test_a_build_is_more_than_a_version(text):
    assert parse_spec(text).build


@pytest.mark.parametrize("text", ["-e .", "./lab", "git+https://a.example/lab"])
def test_requirements_of_pip_have_a_place_of_their_own(text):
    with pytest.raises(UsageError) as caught:
        parse_spec(text)
    assert caught.value.hint == "what pip installs is listed under pip:"


@pytest.mark.parametrize("text", ["https://a.example/x.conda", "https://me:s3@a.example/x-1-0.zip", "x[a"])
def test_what_is_not_a_spec_is_refused_without_secrets(text):
    with pytest.raises(UsageError, match=r"is not a conda spec|is not the address") as caught:
        parse_spec(text)
    assert "s3" not in caught.value.message


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        ("2.*", "==2.*"),
        ("1!2.*", "==1!2.*"),
        ("1.2rc1.*", "==1.2rc1"),
        ("~=2", ">=2"),
        ("~=2.1", "~=2.1"),
        (">=1,!=1.2.*", ">=1,!=1.2.*"),
        ("", ""),
        (">=1|<0", None),
    ],
)
def test_a_version_for_pip(version, answer):
    assert pip_version(version) == answer


@pytest.mark.parametrize(
    ("spec", "answer"),
    [("python=3.11", True), ("python", True), ("python=3.11.9", False), ("python >=3.12|3.11.*", True)],
)
def test_a_spec_allows_or_excludes_a_version(spec, answer):
    assert allows(spec, ["3.11.2"]) == answer
