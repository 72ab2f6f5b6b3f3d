"""The configuration is read as Dask reads it; a wrong setting is refused with its source."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dask.config import serialize

from dask_bake.cli.main import run
from dask_bake.commands.config import config_document, default, rows
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture
from dask_bake.models.debian import NEWEST
from dask_bake.options import values
from dask_bake.options.configuration import ConfiguredValue, find_setting, read_configuration, resolve
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.parse import launch_options
from dask_bake.options.settings_table import IMAGE_SECTION, SETTINGS
from isolation import LOGIN_NAME

HOME = Path(__file__).parents[3]
SAMPLES = {
    values.string: ("abc", "abc"),
    values.integer: (7, 7),
    values.integer_or_auto: ("auto", None),
    values.boolean: (True, True),
    values.comma_list: (["a", "b"], ("a", "b")),
    values.strings: (["a", "b"], ("a", "b")),
    values.pairs: ({"A": "1"}, (("A", "1"),)),
    values.dask_ec2_tags: ("a:b", (("a", "b"),)),
    values.path: ("/a", Path("/a")),
    values.base_image: ("debian-13", NEWEST),
    values.duration: ("2h", 7200),
    values.networks: ("192.0.2.7", ("192.0.2.7/32",)),
}


def sample(option):
    """Return a value of the option as it is written, and as it is parsed."""
    other = option.choices[-1] if option.choices else option.default
    return SAMPLES.get(option.parse) or (other, option.parse(other, option.name))


def read(folder, text="", **environ):
    """Return the configuration from a folder with one file, and from these variables."""
    folder.joinpath("own.yaml").write_text(text)
    return read_configuration(environ, [str(folder)])


@pytest.mark.parametrize("key", SETTINGS)
def test_each_setting_can_be_in_a_file_and_in_a_variable(tmp_path, key):
    option = SETTINGS[key]
    section = f"{IMAGE_SECTION}." if key.startswith(f"{IMAGE_SECTION}.") else ""
    written, parsed = sample(option)
    variable = f"DASK_BAKE__{key.upper().replace('.', '__').replace('-', '_')}"
    nested = {IMAGE_SECTION: {option.key: written}} if section else {key: written}

    from_file = read(tmp_path, json.dumps({"bake": nested}))
    from_variable = read(tmp_path, **{variable: written if isinstance(written, str) else repr(written)})

    path = str(tmp_path / "own.yaml")
    assert from_file == {key: ConfiguredValue(written, path, f"{key} in {path}")}
    assert from_variable == {key: ConfiguredValue(written, variable, variable)}
    for configuration in (from_file, from_variable):
        assert resolve([option], {}, configuration, section=section) == {option.name: parsed}


def test_each_option_of_a_launch_is_a_setting():
    assert {option.name for option in SETTINGS.values()} >= set(LaunchOptions.__dataclass_fields__)


def test_without_a_file_the_configuration_is_empty(tmp_path):
    assert read_configuration({}, [str(tmp_path / "nowhere")]) == {}


@pytest.mark.parametrize(
    ("text", "variables", "settings", "imports"),
    [
        ("", {}, 0, False),
        ("# bake:\n#   count: 3\n\n", {}, 0, False),
        ("", {"DASK_BAKE_CLOUD": "local"}, 1, False),
        ("distributed: {}\n", {}, 0, True),
        ("# one\nbake: {count: 3}\n", {}, 1, True),
        ("", {"DASK_BAKE__COUNT": "3"}, 1, True),
    ],
    ids=["no file", "comments", "short variable", "Dask's own", "file", "variable"],
)
def test_dask_is_imported_only_if_there_is_something_to_read(tmp_path, text, variables, settings, imports):
    if text:
        (tmp_path / "dask.yaml").write_text(text)
    script = (
        "import sys; from dask_bake.options.configuration import read_configuration as read;"
        f" print(len(read({variables!r}, [{str(tmp_path)!r}])), 'dask' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)

    assert done.stdout.split() == [str(settings), str(imports)]


def test_keys_are_written_with_dashes_or_underscores(tmp_path):
    assert list(read(tmp_path, "bake: {head_type: a, min-workers: 3}")) == ["head-type", "min-workers"]


def test_variables_override_files_and_later_files_override_earlier_ones(tmp_path):
    for name, text in (
        ("a", "bake: {count: 3, nprocs: 3, timeout: 3}"),
        ("b", "bake: {count: 5, nprocs: 5}"),
    ):
        tmp_path.joinpath(f"{name}.yaml").write_text(text)

    configuration = read_configuration({"DASK_BAKE__COUNT": "9"}, [str(tmp_path)])

    assert {key: (given.value, Path(given.source).name) for key, given in configuration.items()} == {
        "count": (9, "DASK_BAKE__COUNT"),
        "nprocs": (5, "b.yaml"),
        "timeout": (3, "a.yaml"),
    }


def test_entries_of_mappings_are_combined(tmp_path):
    tmp_path.joinpath("a.yaml").write_text("bake: {tag: {team: weather, stage: test}}")
    tmp_path.joinpath("b.yaml").write_text("bake: {tag: {stage: live}}")

    given = read_configuration({}, [str(tmp_path)])["tag"]

    assert given.value == {"team": "weather", "stage": "live"}
    assert given.source == f"{tmp_path}/a.yaml, {tmp_path}/b.yaml"


def test_null_restores_the_default(tmp_path):
    configuration = read(tmp_path, "bake: {count: 9, spot: true}", DASK_BAKE__COUNT="None")

    assert launch_options({}, configuration) == LaunchOptions(name=f"dask-{LOGIN_NAME}", spot=True)


def test_short_variables_are_aliases_of_long_ones(tmp_path):
    configuration = read(
        tmp_path,
        "bake: {cloud: aws}",
        DASK_BAKE_CLOUD="local",
        DASK_BAKE_INSTALLER="pip",
        DASK_BAKE__IMAGE__INSTALLER="auto",
    )

    assert {key: given.value for key, given in configuration.items()} == {
        "cloud": "local",
        "image.installer": "auto",
    }


def test_an_empty_variable_is_ignored(tmp_path):
    empty = {"DASK_BAKE_CLOUD": "", "DASK_BAKE__COUNT": ""}
    assert read(tmp_path, "bake: {cloud: aws}", **empty)["cloud"].value == "aws"


def test_configuration_inherited_from_a_parent_process_overrides_files_only(tmp_path):
    inherited = serialize({"bake": {"count": 5, "nprocs": 5}})

    configuration = read(
        tmp_path, "bake: {count: 3}", DASK_BAKE__NPROCS="7", DASK_INTERNAL_INHERIT_CONFIG=inherited
    )

    assert {key: given.value for key, given in configuration.items()} == {"count": 5, "nprocs": 7}


def test_variables_of_the_local_cloud_and_of_dask_are_not_settings(tmp_path):
    others = {"DASK_BAKE_LOCAL_PORT": "1", "DASK_SCHEDULER__WORK_STEALING": "True", "DASK_BAKERY": "x"}
    assert read(tmp_path, "scheduler-address: tcp://x", **others) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("bake: 3", "bake in {} must be a mapping of settings, not 3"),
        ("bake: [count]", "bake in {} must be a mapping of settings, not ['count']"),
        ("bake: {image: 3}", "bake.image in {} must be a mapping of settings, not 3"),
        ("bake: {colour: red}", "colour in {} is not a setting of dask-bake"),
        ("bake: {7: red}", "7 in {} is not a setting of dask-bake"),
        ("bake: {image: {count: 3}}", "image.count in {} is not a setting of dask-bake"),
        ("bake: {count: many}", "count in {} must be a whole number, not 'many'"),
        ("bake: {count: true}", "count in {} must be a whole number, not True"),
        ("bake: {count: 3.5}", "count in {} must be a whole number, not 3.5"),
        ("bake: {spot: perhaps}", "spot in {} must be true or false, not 'perhaps'"),
        ("bake: {type: []}", "type in {} is an empty list"),
        ("bake: {cloud: gcp}", "cloud in {}: 'gcp' is not a valid choice"),
        ("bake: {image: {installer: apt}}", "image.installer in {}: 'apt' is not a valid choice"),
        ("dask-bake: {count: 3}", "{} has a section 'dask-bake:', which is now named 'bake:'"),
        ("dask_bake: {count: 3}", "{} has a section 'dask_bake:', which is now named 'bake:'"),
    ],
)
def test_a_wrong_setting_in_a_file_is_refused_with_file_and_key(tmp_path, content, message):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)

    assert caught.value.message == message.format(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DASK_BAKE__COUNT", "many", "DASK_BAKE__COUNT must be a whole number, not 'many'"),
        ("DASK_BAKE__COLOUR", "red", "DASK_BAKE__COLOUR is not a setting of dask-bake"),
        ("DASK_BAKE__IMAGE__COUNT", "3", "DASK_BAKE__IMAGE__COUNT is not a setting of dask-bake"),
        ("DASK_BAKE", "3", "bake in DASK_BAKE must be a mapping of settings, not 3"),
        ("DASK_BAKE", "{'count': 'x'}", "count in DASK_BAKE must be a whole number, not 'x'"),
        ("DASK_BAKE_CLOUD", "gcp", "DASK_BAKE_CLOUD: 'gcp' is not a valid choice"),
        ("DASK_BAKE_INSTALLER", "apt", "DASK_BAKE_INSTALLER: 'apt' is not a valid choice"),
    ],
)
def test_a_wrong_variable_is_refused_with_its_name(tmp_path, variable, value, message):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, **{variable: value})

    assert caught.value.message == message


@pytest.mark.parametrize("content", [b"other: [", b"- a\n", b"\xff\xfe\x00", b"a: 1\na: [}"])
def test_a_file_that_dask_cannot_read_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "theirs.yaml"
    path.write_bytes(content)

    with pytest.raises(UsageError, match="cannot read Dask's configuration: ") as caught:
        read_configuration({}, [str(tmp_path)])

    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_the_hint_suggests_a_similar_setting():
    with pytest.raises(UsageError) as caught:
        find_setting("nproc")

    assert caught.value.hint == "did you mean nprocs? dask-bake config lists all settings"


# In a process of its own, because Dask reads its files when it is imported


def dask_bake(*words, home, **environ):
    """Run a command with this home directory."""
    return subprocess.run(
        [sys.executable, "-m", "dask_bake", *words],
        env={**os.environ, "PYTHONPATH": str(HOME / "launcher"), "HOME": str(home), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_dask_s_folders_are_read(tmp_path):
    own, named = tmp_path / ".config/dask", tmp_path / "elsewhere.yaml"
    own.mkdir(parents=True)
    own.joinpath("mine.yaml").write_text("bake: {count: 5, nprocs: 5}")
    named.write_text("bake: {count: 7}")

    ended = dask_bake("config", "--json", home=tmp_path, DASK_CONFIG=str(named), DASK_BAKE__SPOT="true")

    configured = {
        key: value for key, value in json.loads(ended.stdout).items() if value["source"] != "default"
    }
    assert configured == {
        "count": {"value": 7, "source": str(named)},
        "nprocs": {"value": 5, "source": str(own / "mine.yaml")},
        "spot": {"value": True, "source": "DASK_BAKE__SPOT"},
    }


def test_a_file_that_dask_cannot_read_ends_a_command_with_exit_code_2(tmp_path):
    path = tmp_path / ".config/dask/theirs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("other: [")

    ended = dask_bake("ls", home=tmp_path)

    assert (ended.returncode, ended.stdout, "Traceback" in ended.stderr) == (2, "", False)
    assert f"Error: cannot read Dask's configuration: A dask config file at '{path}'" in ended.stderr


# dask-bake config


@pytest.fixture
def own():
    """Write a configuration file in the home directory, and return its path."""
    path = Path(os.environ["HOME"], ".config/dask/a-name-that-is-longer-than-most-files-have.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(
        "bake:\n  type: [m6i.large, m5.large]\n  tag: {team: weather}\n  image: {volume_size: 20}\n"
    )
    return path


def test_config_shows_each_value_and_its_source(own, capsys, monkeypatch):
    monkeypatch.setenv("DASK_BAKE_CLOUD", "local")
    assert run(["config"]) == 0

    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in lines if line and not line.startswith(" ")}
    assert shown["cloud"] == ["local", "DASK_BAKE_CLOUD"]
    assert shown["count"] == ["4", "default"]
    assert shown["type"] == ["m6i.large,", "m5.large", str(own)]
    assert shown["tag"][0] == "team=weather"
    assert shown["image.volume-size"][0] == "20"
    assert set(SETTINGS) <= set(shown)


def test_config_shows_one_value(own, capsys):
    assert run(["config", "volume_type"]) == 0
    assert capsys.readouterr() == ("gp3\n", "from default\n")

    assert run(["config", "type", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"value": ["m6i.large", "m5.large"], "source": str(own)}

    assert run(["config", "colour"]) == 2
    assert "'colour' is not a setting of dask-bake" in capsys.readouterr().err


@pytest.mark.parametrize("key", SETTINGS)
def test_the_help_states_the_default(key):
    """Compare with the field if that has a value; otherwise the help describes the default in words."""
    stated, value = SETTINGS[key].default.replace("USER", LOGIN_NAME), default(key)
    if SETTINGS[key].parse is values.boolean:
        assert (stated == key) is bool(value) is SETTINGS[key].is_on  # keep-size depends on others
    elif value not in (None, "", ()):
        assert SETTINGS[key].parse(stated, key) == value


def test_the_default_name_is_shown_as_it_is_for_this_user():
    assert ("name", f"dask-{LOGIN_NAME}", "default") in rows({})


def test_the_json_document_has_the_defaults_of_a_launch():
    document = config_document({})
    assert document["type"] == {"value": ["m6i.2xlarge"], "source": "default"}
    assert document["image.arch"] == {"value": Architecture.X86_64, "source": "default"}
    json.dumps(document)


NUMBERS = """
bake:
  memory-limit: 1.10
  tag:
    account: 012345670123
    release: 1.10
    debug: yes
    8080a: 8080
"""


def test_what_a_file_says_is_not_made_another_number(tmp_path):
    tags = (("account", "012345670123"), ("release", "1.10"), ("debug", "yes"), ("8080a", "8080"))

    options = launch_options({}, read(tmp_path, NUMBERS))

    assert (options.tag, options.memory_limit) == (tags, "1.10")


def test_a_time_of_day_is_refused_as_it_is_written(tmp_path):
    with pytest.raises(
        UsageError, match=rf"max-lifetime in {tmp_path}/own.yaml must be a duration, not '12:30'"
    ):
        read(tmp_path, "bake: {max-lifetime: 12:30}")


@pytest.mark.parametrize("written", ["yes", "on", "true", "True", "1"])
def test_a_switch_takes_what_yaml_takes_for_true(tmp_path, written):
    assert read(tmp_path, f"bake: {{spot: {written}}}")["spot"].value is True


@pytest.mark.parametrize("written", ["1.10", "1_000", "0x10", "1e3"])
def test_what_a_variable_says_is_not_made_another_number(tmp_path, written):
    found = read(tmp_path, DASK_BAKE__MEMORY_LIMIT=written)

    assert found["memory-limit"].value == written


@pytest.mark.parametrize("key", ["on", "8080", "no", "1.10", "~"])
def test_a_key_that_is_not_text_is_named_with_its_file_and_line(tmp_path, key, capsys):
    """As a process of its own: Dask's configuration is read when it is imported."""
    path = tmp_path / "dask.yaml"
    path.write_text(f"distributed:\n  x:\n    {key}: 1\nbake:\n  count: 3\n")

    ended = subprocess.run(
        [sys.executable, "-m", "dask_bake", "config", "count"],
        env={**os.environ, "PYTHONPATH": str(HOME / "launcher"), "DASK_CONFIG": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (
        2,
        f"Error: cannot read Dask's configuration: in {path}, line 3, the key {key} is not text\n"
        f"Hint: put it in quotes: '{key}'\n",
    )
