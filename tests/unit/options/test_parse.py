"""What cannot be launched is refused before anything is looked up."""

from pathlib import Path

import pytest

from dask_bake.bake.options import BakeOptions, bake_options
from dask_bake.environment.options import EnvironmentOptions, environment_options
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture, CloudChoice, InstallerChoice
from dask_bake.options.configuration import ConfiguredValue
from dask_bake.options.launch import CloudOptions, LaunchOptions
from dask_bake.options.parse import cloud_options, launch_options


def test_the_defaults_are_those_of_the_help():
    assert launch_options({}, {}) == LaunchOptions(
        count=4,
        nprocs=1,
        name="dask",
        type=("m6i.2xlarge",),
        ami=None,
        file=None,
        timeout=300,
        allow_mismatch=False,
    )


def test_a_mismatch_is_allowed_by_its_flag():
    assert launch_options({"allow_mismatch": True}, {}) == LaunchOptions(allow_mismatch=True)


def test_a_flag_goes_before_what_is_configured_and_that_before_the_default():
    options = launch_options({"count": 9, "nprocs": None, "tag": ()}, configured(count=5, nprocs=8))

    assert (options.count, options.nprocs, options.name) == (9, 8, "dask")


def test_a_switch_that_is_configured_can_be_denied():
    options = launch_options({"spot": False, "tls": None}, configured(spot=True, tls=True))

    assert (options.spot, options.tls) == (False, True)


def test_null_in_the_configuration_is_the_default():
    assert launch_options({}, configured(count=None)).count == 4


def test_what_is_refused_and_was_configured_names_where():
    with pytest.raises(UsageError) as caught:
        launch_options({"count": None}, configured(count=1))

    assert caught.value.message == "--count must be at least 2, not 1 (--count is count in a.yaml)"


def test_what_is_refused_and_was_a_flag_names_no_file():
    with pytest.raises(UsageError) as caught:
        launch_options({"count": 1}, configured(count=9))

    assert caught.value.message == "--count must be at least 2, not 1"


@pytest.mark.parametrize(
    ("flags", "given", "expected"),
    [
        ({"cloud": "aws"}, {"cloud": "local"}, CloudOptions(CloudChoice.AWS)),
        ({"cloud": None}, {"cloud": "local"}, CloudOptions(CloudChoice.LOCAL)),
        ({}, {"region": "eu-west-1", "profile": "work"}, CloudOptions(region="eu-west-1", profile="work")),
        ({"profile": "own"}, {"profile": "work"}, CloudOptions(profile="own")),
        ({}, {}, CloudOptions()),
    ],
)
def test_where_things_are_is_said_by_flags_then_by_the_configuration(flags, given, expected):
    assert cloud_options(flags, configured(**given)) == expected


def test_an_environment_is_chosen_likewise():
    given = {"image.installer": "pip", "image.env": "a.yml", "image.channel": ["lab"], "image.arch": "arm64"}

    assert environment_options({"arch": "x86_64"}, configured(**given)) == EnvironmentOptions(
        file=Path("a.yml"), installer=InstallerChoice.PIP, channels=("lab",), architecture=Architecture.X86_64
    )


def test_a_lock_says_who_installs_it_whatever_is_configured():
    given = configured(**{"image.installer": "pip"})

    assert environment_options({}, given, lock=Path("pip.lock")).installer is InstallerChoice.AUTO
    flags = {"installer": "conda"}
    assert environment_options(flags, given, lock=Path("x")).installer is InstallerChoice.CONDA


def test_this_python_s_own_packages_go_before_a_configured_file():
    assert environment_options({"from_env": True}, configured(**{"image.env": "a.yml"})).file is None


def test_a_bake_s_options_are_those_below_image():
    given = {"image.volume-size": 20, "volume-size": 99, "image.base": "ami-1", "image.timeout": 60}

    options = bake_options({"timeout": "120"}, configured(**given), force=True)

    assert options == BakeOptions(force=True, volume_size=20, base="ami-1", timeout=120)


def test_a_bake_s_option_that_is_refused_names_where_it_was_configured():
    with pytest.raises(
        UsageError, match=r"at least 8, not 2 \(--volume-size is image\.volume-size in a\.yaml\)"
    ):
        bake_options({}, configured(**{"image.volume-size": 2}))


def configured(**values):
    return {key: ConfiguredValue(value, "a.yaml", f"{key} in a.yaml") for key, value in values.items()}
