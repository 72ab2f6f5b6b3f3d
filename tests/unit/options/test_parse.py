"""Options are built from flags, configuration and defaults, in this order of precedence."""

from pathlib import Path

import pytest

from dask_bake.bake.options import BakeOptions, bake_options
from dask_bake.environment.options import EnvironmentOptions, environment_options
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture, CloudChoice, InstallerChoice
from dask_bake.options.configuration import ConfiguredValue
from dask_bake.options.launch import CloudOptions, LaunchOptions
from dask_bake.options.parse import cloud_options, launch_options


def test_without_flags_and_configuration_options_have_their_defaults():
    assert launch_options({}, {}) == LaunchOptions(
        count=4,
        nprocs=1,
        name="dask-tester",
        type=("m6i.2xlarge",),
        ami=None,
        file=None,
        timeout=300,
        allow_mismatch=False,
    )


def test_a_flag_sets_its_option():
    assert launch_options({"name": "taxi"}, {}) == LaunchOptions(name="taxi")


def test_a_flag_overrides_the_configuration_which_overrides_the_default():
    options = launch_options({"count": 9, "nprocs": None, "tag": ()}, configured(count=5, nprocs=8))

    assert (options.count, options.nprocs, options.name) == (9, 8, "dask-tester")


def test_a_flag_can_turn_off_a_configured_switch():
    options = launch_options({"spot": False, "tls": None}, configured(spot=True, tls=True))

    assert (options.spot, options.tls) == (False, True)


def test_null_in_the_configuration_restores_the_default():
    assert launch_options({}, configured(count=None)).count == 4


def test_an_error_about_a_configured_option_names_its_source():
    with pytest.raises(UsageError) as caught:
        launch_options({"count": None}, configured(count=1))

    assert caught.value.message == "--count must be at least 2, not 1 (--count is count in a.yaml)"


def test_an_error_about_a_flag_names_no_source():
    with pytest.raises(UsageError) as caught:
        launch_options({"count": 1}, configured(count=9))

    assert caught.value.message == "--count must be at least 2, not 1"


@pytest.mark.parametrize(
    ("flags", "settings", "expected"),
    [
        ({"cloud": "aws"}, {"cloud": "local"}, CloudOptions(CloudChoice.AWS)),
        ({"cloud": None}, {"cloud": "local"}, CloudOptions(CloudChoice.LOCAL)),
        ({}, {"region": "eu-west-1", "profile": "work"}, CloudOptions(region="eu-west-1", profile="work")),
        ({"profile": "own"}, {"profile": "work"}, CloudOptions(profile="own")),
        ({}, {}, CloudOptions()),
    ],
)
def test_flags_override_the_configuration_for_the_cloud(flags, settings, expected):
    assert cloud_options(flags, configured(**settings)) == expected


def test_the_options_of_an_environment_have_the_same_precedence():
    given = {"image.installer": "pip", "image.env": "a.yml", "image.channel": ["lab"], "image.arch": "arm64"}

    assert environment_options({"arch": "x86_64"}, configured(**given)) == EnvironmentOptions(
        file=Path("a.yml"), installer=InstallerChoice.PIP, channels=("lab",), architecture=Architecture.X86_64
    )


def test_a_lock_overrides_the_configured_installer():
    given = configured(**{"image.installer": "pip"})

    assert environment_options({}, given, lock=Path("pip.lock")).installer is InstallerChoice.AUTO
    flags = {"installer": "conda"}
    assert environment_options(flags, given, lock=Path("x")).installer is InstallerChoice.CONDA


def test_from_env_overrides_a_configured_file():
    assert environment_options({"from_env": True}, configured(**{"image.env": "a.yml"})).file is None


def test_the_options_of_a_bake_are_read_below_image():
    given = {"image.volume-size": 20, "volume-size": 99, "image.base": "ami-1", "image.timeout": 60}

    options = bake_options({"timeout": "120"}, configured(**given), force=True)

    assert options == BakeOptions(force=True, volume_size=20, base="ami-1", timeout=120)


def test_an_error_about_an_option_of_a_bake_names_its_source():
    with pytest.raises(
        UsageError, match=r"at least 8, not 2 \(--volume-size is image\.volume-size in a\.yaml\)"
    ):
        bake_options({}, configured(**{"image.volume-size": 2}))


def configured(**values):
    return {key: ConfiguredValue(value, "a.yaml", f"{key} in a.yaml") for key, value in values.items()}


@pytest.mark.parametrize("name", ["image-0123456789ab", "image-0123456789ab-proof"])
def test_a_name_of_a_bake_s_instances_is_refused(name):
    """Commands without a name do not find such a cluster."""
    with pytest.raises(UsageError, match="a bake's instances"):
        launch_options({"name": name}, {})
