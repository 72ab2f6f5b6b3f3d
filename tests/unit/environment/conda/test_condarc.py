"""conda's settings, as conda reads them."""

import pytest
import yaml

from dask_bake.environment.conda.condarc import (
    CondaSettings,
    effective_channels,
    expanded_channel,
    is_anacondas,
    read_conda_settings,
)
from dask_bake.errors import UsageError


def write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def test_later_files_override_earlier_ones_and_lists_and_mappings_are_joined(tmp_path):
    write(tmp_path / ".config/conda/.condarc", channels=["lab"], custom_channels={"lab": "https://a.example"})
    write(
        tmp_path / ".condarc",
        channels=["mine"],
        custom_channels={"x": "https://b.example"},
        channel_priority="flexible",
    )
    named = write(tmp_path / "named.yml", channel_priority="disabled", unknown=1)
    settings = read_conda_settings({"HOME": str(tmp_path), "CONDARC": str(named)})
    assert settings == CondaSettings(
        channels=("mine", "lab"),
        custom_channels={"lab": "https://a.example", "x": "https://b.example"},
        channel_priority="disabled",
    )


def test_variables_override_files_and_are_expanded_in_values(tmp_path):
    write(tmp_path / ".condarc", channels=["https://user:${SECRET}@c.example/x"], ssl_verify=True)
    environ = {
        "HOME": str(tmp_path),
        "SECRET": "s3",
        "CONDA_SSL_VERIFY": "false",
        "CONDA_CHANNEL_ALIAS": "https://mirror.example",
    }
    settings = read_conda_settings(environ)
    assert settings.channels == ("https://user:s3@c.example/x",)
    assert (settings.ssl_verify, settings.channel_alias) == (False, "https://mirror.example")
    assert read_conda_settings({**environ, "CONDA_CHANNELS": "a, b,"}).channels == ("a", "b")


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", CondaSettings()),
        ("channel_priority: false", CondaSettings(channel_priority="false")),
        ("channel_priority: Disabled", CondaSettings(channel_priority="disabled")),
        ("ssl_verify: truststore", CondaSettings(ssl_verify=True)),
        ("ssl_verify: 'False'", CondaSettings(ssl_verify=False)),
        ("ssl_verify: /lab.pem", CondaSettings(ssl_verify="/lab.pem")),
        (
            "proxy_servers: {http: http://p.example, https: null}",
            CondaSettings(proxy_servers={"http": "http://p.example"}),
        ),
    ],
)
def test_settings_have_conda_s_meaning(tmp_path, text, settings):
    (tmp_path / ".condarc").write_text(text)
    assert read_conda_settings({"HOME": str(tmp_path)}) == settings


def test_a_tilde_in_ssl_verify_is_the_home_directory(tmp_path):
    (tmp_path / ".condarc").write_text("ssl_verify: ~/lab.pem")
    assert read_conda_settings({"HOME": str(tmp_path)}).ssl_verify == str(tmp_path / "lab.pem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels: x", "has channels: 'x'"),
        ("channel_alias: [x]", r"has channel_alias: \['x'\]"),
        ("custom_channels: {lab: 5}", "has 5 in custom_channels"),
        ("mirrored_channels: {lab: https://x}", "has 'https://x' in mirrored_channels"),
        ("[", "cannot be read"),
        ("- a", "holds no settings"),
    ],
)
def test_invalid_settings_are_refused(tmp_path, text, message):
    (tmp_path / ".condarc").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_conda_settings({"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("flags", "environment", "settings", "channels"),
    [
        ((), (), CondaSettings(), ("conda-forge",)),
        ((), (), CondaSettings(channels=("lab",)), ("lab",)),
        ((), ("nodefaults", "mine"), CondaSettings(channels=("lab",)), ("mine",)),
        (("first",), ("mine",), CondaSettings(), ("first", "mine")),
        ((), ("defaults", "main"), CondaSettings(), ("main", "r")),
        (
            (),
            ("defaults",),
            CondaSettings(default_channels=("https://m.example/main/",)),
            ("https://m.example/main",),
        ),
        ((), ("x",), CondaSettings(channel_alias="https://m.example/"), ("https://m.example/x",)),
        (
            (),
            ("lab/dev",),
            CondaSettings(custom_channels={"lab": "https://m.example"}),
            ("https://m.example/lab/dev",),
        ),
        ((), ("all",), CondaSettings(custom_multichannels={"all": ("a", "b", "all")}), ("a", "b")),
        ((), ("x",), CondaSettings(custom_multichannels={"x": ("y", "a"), "y": ("x", "b")}), ("b", "a")),
        ((), ("defaults",), CondaSettings(default_channels=("defaults", "a")), ("a",)),
        ((), ("./lab", "~/lab"), CondaSettings(channel_alias="https://m.example"), ("./lab", "~/lab")),
        (
            (),
            ("https://u.example/t/tok/x/", "/folder"),
            CondaSettings(),
            ("https://u.example/t/tok/x", "/folder"),
        ),
    ],
)
def test_channels_have_conda_s_precedence_and_aliases(flags, environment, settings, channels):
    assert effective_channels(flags, environment, settings) == channels


@pytest.mark.parametrize(
    ("channel", "answer"),
    [
        ("defaults", True),
        ("main", True),
        ("anaconda", True),
        ("https://a.example/pkgs/main", True),
        ("conda-forge", False),
        ("https://a.example/conda-forge", False),
        ("maintained", False),
        ("r-lab", False),
    ],
)
def test_anaconda_s_channels_are_recognised(channel, answer):
    assert is_anacondas(channel) == answer


def test_the_channels_of_specs_come_last_and_once():
    settings = CondaSettings(channel_alias="https://m.example")
    assert effective_channels((), ["a"], settings, ["b", "a", "https://c.example/x/linux-64"]) == (
        "https://m.example/a",
        "https://m.example/b",
        "https://c.example/x",
    )


def test_a_channel_can_have_variables_and_the_folder_of_a_platform():
    environ = {"TOKEN": "s3", "LAB": "lab"}
    assert expanded_channel("https://a.example/t/$TOKEN/${LAB}", environ) == "https://a.example/t/s3/lab"
    assert effective_channels((), ["conda-forge/linux-64", "a/noarch", "linux-64"], CondaSettings()) == (
        "conda-forge",
        "a",
        "linux-64",
    )
    with pytest.raises(UsageError, match=r"the channel \$NONE/x needs NONE, which is not set"):
        expanded_channel("$NONE/x", environ)
