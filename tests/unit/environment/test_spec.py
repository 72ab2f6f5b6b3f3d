"""environment.yml, read; this Python's own; and what conda's settings say."""

import importlib.metadata
import json
import sys
from importlib.metadata import PathDistribution

import pytest
import yaml

from dask_bake.assets import packer_directory
from dask_bake.environment.conda.condarc import (
    CondaSettings,
    effective_channels,
    is_anacondas,
    read_conda_settings,
)
from dask_bake.environment.current import own_environment
from dask_bake.environment.spec import Environment, parse_environment, pip_requirements
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


def test_an_environment_is_what_conda_s_format_says():
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
        (b"dependencies: [dask]\nvariables: {A: b}", r"mine\.yml has variables, which an image cannot have"),
        (b"dependencies: [{conda: [dask]}]", r"mine\.yml has a dependency that is no package"),
        (b"dependencies: [[dask]]", r"mine\.yml has a dependency that is no package"),
        (b"dependencies: [{pip: dask}]", r"mine\.yml has pip: 'dask', which should be a list"),
        (b"dependencies: [{pip: [-e .]}]", r"mine\.yml gives pip the option -e"),
        (b"dependencies: [{pip: [./lab]}]", r"mine\.yml asks pip for \./lab, which no index has"),
        (b"dependencies: [{pip: [lab-1-py3-none-any.whl]}]", r"mine\.yml asks pip for lab-1"),
        (
            b"dependencies: [{pip: ['lab @ git+https://me:pw@a.example/lab']}]",
            r"mine\.yml asks pip for lab @ git\+https://a\.example/lab, which no index has",
        ),
        (b"channels: conda-forge\ndependencies: []", r"mine\.yml has channels: 'conda-forge'"),
        (b"name: [a]\ndependencies: []", r"mine\.yml has \['a'\] under name"),
    ],
)
def test_a_malformed_environment_is_a_sentence(text, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        parse_environment(text, "mine.yml")
    assert caught.value.hint


def test_condas_words_become_pips():
    text = b"""
    dependencies:
      - python=3.11
      - python-dateutil
      - dask
      - conda-forge::numpy=2.1
      - pandas>=2
      - bokeh==3.9.2
      - mamba
      - pip
      - pip: [not-on-conda==1]
    """
    assert pip_requirements(parse_environment(text)) == (
        "python-dateutil",
        "dask[array,dataframe,diagnostics,distributed]",
        "numpy==2.1.*",
        "pandas>=2",
        "bokeh==3.9.2",
        "not-on-conda==1",
        "pip",
    )


@pytest.mark.parametrize("spec", ["numpy=1.26=py311_0", "numpy; rm"])
def test_what_pip_cannot_be_asked_for_is_a_sentence(spec):
    with pytest.raises(UsageError, match=f"asks for '{spec}'"):
        pip_requirements(parse_environment(f"dependencies: ['{spec}']".encode()))


def test_the_default_environment_is_one():
    environment = parse_environment((packer_directory() / "environment.yml").read_bytes())
    assert (environment.name, environment.channels) == ("dask", ("conda-forge",))


def distribution(folder, name, version, *, needs=(), installer="pip", local=False, requested=False):
    """An installed project."""
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in needs)]
    (place / "METADATA").write_text("\n".join(lines) + "\n")
    (place / "INSTALLER").write_text(installer + "\n")
    if requested:
        (place / "REQUESTED").touch()
    if local:
        (place / "direct_url.json").write_text("{}")
    return PathDistribution(place)


def test_this_python_s_packages_without_what_is_ours_or_local(tmp_path):
    there = [
        distribution(
            tmp_path,
            "dask-bake",
            "1",
            needs=["boto3>=1", "dask", "rich", "moto; extra == 'local'", "boto3-stubs; extra == 'dev'"],
        ),
        distribution(tmp_path, "boto3", "2", needs=["botocore"]),
        distribution(tmp_path, "rich", "3"),
        distribution(tmp_path, "dask", "4"),
        distribution(tmp_path, "My_Science", "5", needs=["rich>=1"]),
        distribution(tmp_path, "moto", "6"),
        distribution(tmp_path, "our-lab", "7", local=True),
        distribution(tmp_path, "pip", "8"),
        distribution(tmp_path, "botocore", "9"),
        distribution(tmp_path, "boto3-stubs", "9", requested=True),
    ]
    own = own_environment(tmp_path, there)
    content = yaml.safe_load(own.text)
    assert own.left_out == ("our-lab",)
    assert content["dependencies"][2:] == [{"pip": ["boto3-stubs==9", "dask==4", "my-science==5", "rich==3"]}]
    assert parse_environment(own.text).name == "from-env"


def test_conda_s_packages_stay_conda_s(tmp_path):
    (tmp_path / "conda-meta").mkdir()
    for name, version, depends in (
        ("numpy", "2.1", ["python >=3.11"]),
        ("libblas", "3", []),
        ("python", "3.11.9", []),
        ("dask-bake", "0.1", ["python >=3.11"]),
    ):
        record = {"name": name, "version": version, "depends": depends}
        (tmp_path / "conda-meta" / f"{name}.json").write_text(json.dumps(record))
    there = [
        distribution(tmp_path, "numpy", "2.1", installer="conda"),
        distribution(tmp_path, "from-pip", "1"),
    ]
    dependencies = yaml.safe_load(own_environment(tmp_path, there).text)["dependencies"]
    assert dependencies[1:] == ["pip", "numpy=2.1", {"pip": ["from-pip==1"]}]


def test_this_program_s_own_environment_is_an_environment_with_its_distributed():
    environment = parse_environment(own_environment().text, "this Python's environment")
    specs = [spec.partition("=")[0] for spec in environment.specs]
    asked = [*specs, *(each.partition("==")[0] for each in environment.requirements)]
    version = importlib.metadata.version("distributed")
    assert {f"distributed=={version}", f"distributed={version}"} & {
        *environment.requirements,
        *environment.specs,
    }
    assert environment.specs[0] == "python={}.{}".format(*sys.version_info)
    assert "dask-bake" not in asked


def write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def test_later_files_win_and_lists_and_mappings_are_joined(tmp_path):
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


def test_the_environment_wins_over_files_and_variables_are_put_in(tmp_path):
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
def test_a_setting_is_what_conda_takes_it_for(tmp_path, text, settings):
    (tmp_path / ".condarc").write_text(text)
    assert read_conda_settings({"HOME": str(tmp_path)}) == settings


def test_a_home_of_ssl_verify_is_this_one_s(tmp_path):
    (tmp_path / ".condarc").write_text("ssl_verify: ~/lab.pem")
    assert read_conda_settings({"HOME": str(tmp_path)}).ssl_verify == str(tmp_path / "lab.pem")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("channels: x", "has channels: 'x'"),
        ("channel_alias: [x]", r"has channel_alias: \['x'\]"),
        ("custom_channels: {lab: 5}", "has 5 in custom_channels"),
        ("mirrored_channels: {lab: https://x}", "has 'https://x' in mirrored_channels"),
        ("[", "cannot be read"),
        ("- a", "holds no settings"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path, text, sentence):
    (tmp_path / ".condarc").write_text(text)
    with pytest.raises(UsageError, match=sentence):
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
def test_channels_are_what_a_user_of_conda_expects(flags, environment, settings, channels):
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
def test_anaconda_s_channels_are_known(channel, answer):
    assert is_anacondas(channel) == answer
