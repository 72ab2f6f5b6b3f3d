"""Any user input arrives unchanged on the nodes and in the tags, or is refused with a message."""

import json
import re
import shlex
import subprocess
from contextlib import suppress
from email import message_from_string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dask_bake.cli.main import run
from dask_bake.cloud_init import encoding
from dask_bake.cloud_init.merge import FIRST_LINE, LIST_KEYS, SUPPORTED_KEYS
from dask_bake.cloud_init.render import USER_DATA_LIMIT, render
from dask_bake.cloud_init.settings import NodeSettings, Preload
from dask_bake.clusters.cluster_file import parse_cluster_file, read_cluster_file
from dask_bake.ec2 import requests
from dask_bake.environment import spec as environment
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Role
from dask_bake.models.tags import Tag
from dask_bake.options import values as option_values
from dask_bake.options.configuration import parse_document, read_configuration
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.launch_table import OPTIONS
from dask_bake.options.parse import checked, cloud_options, launch_options
from dask_bake.options.tag_checks import LONGEST_KEY, LONGEST_VALUE
from fakes import a_plan, head_of, workers_of

pytestmark = pytest.mark.slow

fuzzed = settings(
    max_examples=60,
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TRICKS = (
    *(
        "{{ settings }}",
        "{% raw %}",
        "{#",
        "${HOME}",
        "$(reboot)",
        "`reboot`",
        "%h",
        "'",
        '"',
        "\\",
        "#",
        ";",
    ),
    *(
        "\n",
        "\r",
        "\t",
        "\0",
        "\x1b[31m",
        "\x85",
        "\u2028",
        "\ufeff",
        "\ud800",
        "é",
        "😀",
        " ",
        "=",
        ":",
        ",",
    ),
    *(
        "- x",
        "a: b",
        "#cloud-config",
        "--dask-bake",
        "\nruncmd: [reboot]",
        "EOF",
        "[red]",
        "-",
        "--",
        "@",
        "|",
    ),
    *("null", "true", "0x1F", "1e3", "2026-13-45", "!!python/object", "&a", "*a", "~", "~nobody/x"),
)
"""Strings with a meaning in templates, shells, systemd, sshd, YAML, MIME or terminals."""

texts = st.lists(st.sampled_from(TRICKS) | st.text(max_size=8), max_size=6).map("".join) | st.text(
    max_size=60
)
lines = texts.filter(str.isprintable)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True) | texts
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | texts | st.binary(max_size=5)
documents = st.recursive(
    scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(texts, each, max_size=3), max_leaves=6
)
mailable = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"), max_size=20
)


def systemd_reads(text: str) -> dict[str, str]:
    """Parse an ``EnvironmentFile`` with the state machine of systemd (basic/env-file.c)."""
    found, key, value, state, spaces = {}, "", "", "before key", 0
    for character in text:
        match state:
            case "before key" if character not in "#;\n \t":
                key, value, state = character, "", "key"
            case "key" if character == "=":
                state = "before value"
            case "key":
                key += character
            case "before value" | "value" if character == "\n":
                found[key] = value[: len(value) - spaces]
                state, spaces = "before key", 0
            case "before value" if character in "'\"":
                state = character
            case "before value" if character in " \t":
                pass
            case "before value" | "value" if character == "\\":
                state, spaces = "escape", 0
            case "before value" | "value" | "escape":
                spaces = spaces + 1 if character in " \t" and state == "value" else 0
                value, state = value + character, "value"
            case "'" | '"' if character == state:
                state = "before value"
            case '"' if character == "\\":
                state = '"\\'
            case '"\\':
                value, state = value + (character if character in '"\\`$' else "\\" + character), '"'
            case "'" | '"':
                value += character
    return found


def sshd_reads(line: str) -> list[str]:
    """Split a line of sshd_config by the rules of OpenSSH (argv_split)."""
    words, word, quote, rest = [], None, "", iter(line)
    for character in rest:
        if character == "\\" and (following := next(rest)) in ("'\"\\" if quote else "'\"\\ "):
            word = (word or "") + following
        elif character == "\\":
            word = (word or "") + "\\" + following
        elif quote:
            word, quote = (word, "") if character == quote else (word + character, quote)
        elif character in "'\"":
            word, quote = word or "", character
        elif character in " \t\n":
            words, word = [*words, *([word] if word is not None else [])], None
        else:
            word = (word or "") + character
    assert not quote
    return [*words, *([word] if word is not None else [])]


def shell_reads(text: str) -> dict[str, str]:
    """Return the variables of a shell that has sourced the text."""
    script = "set -a; . /dev/stdin; exec /usr/bin/env --null"
    command = ["/usr/bin/env", "--ignore-environment", "/bin/sh", "-c", script]
    output = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout.decode()
    return dict(each.split("=", 1) for each in output.split("\0")[:-1])


def files_of(user_data: str) -> dict[str, str]:
    return {each["path"]: each["content"] for each in yaml.safe_load(user_data)["write_files"]}


def tags_of(request) -> list[dict[str, str]]:
    return [{tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in request["TagSpecifications"]]


# ---- names


@fuzzed
@given(st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True) | texts)
def test_a_cluster_name_arrives_unchanged_or_is_refused(name):
    try:
        plan = a_plan(name=name)
    except UsageError:
        with pytest.raises(UsageError, match=re.escape(option_values.quoted(name))):
            option_values.check_name(name)
        return

    assert plan.group_name == f"dask-bake-{name}"
    for spec in (head_of(plan), workers_of(plan)):
        assert (
            files_of(spec.user_data)["/etc/dask-bake/limits.env"].splitlines()[1]
            == f"DASK_BAKE_CLUSTER={name}"
        )
        for tags in tags_of(requests.run_instances(spec)):
            assert (tags[Tag.CLUSTER], tags["Name"]) == (name, f"{name}-{spec.role}")


# ---- variables


@fuzzed
@given(st.lists(st.tuples(names, texts), max_size=4))
def test_variables_arrive_unchanged_in_systemd_the_shell_and_sshd_or_are_refused(pairs):
    try:
        given_env = option_values.pairs([f"{key}={value}" for key, value in pairs] or ["A=1"], "--env")
        plan = a_plan(env=given_env)
    except UsageError:
        return

    meant = dict(given_env)
    for spec in (head_of(plan), workers_of(plan)):
        files = files_of(spec.user_data)
        assert systemd_reads(files["/etc/dask-bake/launch.env"]) == meant
        assert {**meant, **shell_reads(files["/etc/dask-bake/launch.env"])}.items() >= meant.items()
        first, *words = sshd_reads(files["/etc/ssh/sshd_config.d/40-dask-bake.conf"])
        assert first == "SetEnv"
        assert dict(word.split("=", 1) for word in words) == {"PATH": encoding.SESSION_PATH, **meant}


@fuzzed
@given(st.dictionaries(names, lines, max_size=3))
def test_variables_arrive_unchanged_in_a_shell(values):
    own = {f"OWN_{number}": value for number, value in enumerate(values.values())}

    read = shell_reads(encoding.environment_file(own))

    assert {key: value for key, value in read.items() if key.startswith("OWN_")} == own


# ---- tags


@fuzzed
@given(st.lists(st.tuples(texts | st.text("ab+-=._:/@ ", max_size=10), texts), min_size=1, max_size=5))
def test_tags_arrive_unchanged_on_all_resources_or_are_refused(pairs):
    try:
        given_tags = option_values.pairs([f"{key}={value}" for key, value in pairs], "--tag")
        plan = a_plan(tag=given_tags)
    except UsageError:
        return

    meant = dict(given_tags)
    assert all(len(key) <= LONGEST_KEY and len(value) <= LONGEST_VALUE for key, value in meant.items())
    assert not any(key.lower().startswith(("aws:", "dask-bake:")) for key in meant)
    for spec in (head_of(plan), workers_of(plan)):
        for tags in tags_of(requests.run_instances(spec)):
            assert tags.items() >= meant.items()
    assert dict(plan.group_tags).items() >= meant.items()


# ---- templates


@fuzzed
@given(
    role=st.sampled_from(Role),
    written=st.fixed_dictionaries(
        dict.fromkeys(("cluster", "public_key", "scheduler", "memory_limit"), texts)
        | dict.fromkeys(("worker_options", "scheduler_options"), st.lists(texts, max_size=3).map(tuple))
        | {"user": st.none() | texts}
        | {"preloads": st.lists(st.builds(Preload, texts.map(lambda name: f"{name}.py"), texts), max_size=2)}
    ),
)
def test_no_value_escapes_from_its_place_in_the_template(role, written):
    try:
        text = render(
            role, NodeSettings(**{**written, "preloads": tuple(written["preloads"])}, nprocs=1, nthreads=1)
        )
    except UsageError:
        return

    document = yaml.safe_load(text)
    user = {"user": {"name": written["user"]}} if written["user"] is not None else {}
    assert {key: document[key] for key in document if key != "write_files"} == {
        "ssh_authorized_keys": [written["public_key"]],
        **user,
    }
    assert all(set(file) == {"path", "permissions", "content"} for file in document["write_files"])
    read = files_of(text)
    own = systemd_reads(read[f"/etc/dask-bake/{role}.env"])
    assert own["DASK_BAKE_CLUSTER"] == written["cluster"]
    words = shlex.split(own.get("DASK_BAKE_OPTIONS", ""))
    requested = written["scheduler_options"] if role is Role.HEAD else written["worker_options"]
    assert tuple(words[len(words) - len(requested) :]) == requested
    assert json.loads(read["/etc/dask/dask-bake.yaml"]) == {"scheduler-address": written["scheduler"]}
    if role is Role.WORKER:
        for preload in written["preloads"]:
            assert read[f"/etc/dask-bake/preload/{preload.name}"] == preload.source
    assert len(text.encode()) <= USER_DATA_LIMIT


commands = st.lists(mailable, max_size=3)
extras = st.dictionaries(
    st.sampled_from(sorted(SUPPORTED_KEYS - {*LIST_KEYS})), commands, min_size=1, max_size=3
)


@fuzzed
@given(extras)
def test_the_user_s_cloud_config_and_ours_are_both_unchanged(extra):
    text = f"{FIRST_LINE}\n{yaml.safe_dump(extra, allow_unicode=True)}"
    settings = {"cluster": "dask", "public_key": "key", "scheduler": "tcp://10.0.0.5:8786"}

    joined = render(Role.HEAD, NodeSettings(**settings, nprocs=1, nthreads=1, extra=text))

    ours, theirs = message_from_string(joined).get_payload()
    assert yaml.safe_load(theirs.get_payload()) == extra
    assert set(yaml.safe_load(ours.get_payload())) == {"users", "ssh_authorized_keys", "write_files"}


# ---- files of the user


NO_VALUES = ("2026-13-45", "!!int x", "!!bool x", "!!timestamp x", "!!float x", "9" * 5000, "[" * 500)


@pytest.mark.parametrize("value", NO_VALUES, ids=lambda value: value[:12])
@pytest.mark.parametrize("key", ["dependencies", "runcmd", "bake", "name"])
def test_an_invalid_yaml_value_is_refused(tmp_path, key, value):
    for first_line in ("", f"{FIRST_LINE}\n"):
        _read_every_way(tmp_path, f"{first_line}{key}: {value}\n")


@fuzzed
@given(documents.map(lambda each: yaml.safe_dump(each) if _is_plain(each) else str(each)) | texts)
def test_any_file_is_accepted_or_refused(tmp_path, text):
    _read_every_way(tmp_path, text)


@fuzzed
@given(st.dictionaries(st.sampled_from(["name", "cloud", "region", "launch_id", "instances"]), documents))
def test_any_cluster_file_is_accepted_or_refused(document):
    _accepted_or_refused(lambda: parse_cluster_file(document, Path("cluster.yaml")))


@fuzzed
@given(st.dictionaries(st.sampled_from([option.key for option in OPTIONS]) | texts, documents, max_size=4))
def test_any_configuration_is_accepted_or_refused(section):
    def read():
        configuration = parse_document({"bake": section}, "dask.yaml")
        cloud_options({}, configuration)
        return launch_options({}, configuration)

    _accepted_or_refused(read)


ODD = (
    *TRICKS,
    "x\0y.py",
    "\ud800.py",
    "a" * 5000,
    "9" * 5000,
    -1,
    1e400,
    [],
    {},
    [[]],
    {"a": [1]},
    {1: 2},
    None,
)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_accepts_or_refuses_unusual_values(option):
    for odd in ODD:
        for value in (odd, [odd], f"{odd}={odd}"):
            _accepted_or_refused(
                lambda value=value: launch_options({}, parse_document({"bake": {option.key: value}}, "f"))
            )
        if isinstance(odd, str):
            flag = (odd,) if option.multiple else odd
            _accepted_or_refused(lambda flag=flag: launch_options({option.name: flag}, {}))


# ---- the command line

LAUNCH_FLAGS = [flag for option in OPTIONS for flag in option.flags if "/" not in flag]
COMMANDS = (
    "launch",
    "status",
    "down",
    "address",
    "ssh",
    "connect",
    "allow-me",
    "ls",
    "extend",
    "reap",
    "config",
)


@fuzzed
@given(st.lists(st.tuples(st.sampled_from(LAUNCH_FLAGS), texts), min_size=1, max_size=3))
def test_any_flags_of_a_launch_are_accepted_or_refused(capsys, monkeypatch, flags):
    assert _runs_or_is_refused(["launch", *(word for pair in flags for word in pair)], capsys, monkeypatch)


@fuzzed
@given(st.sampled_from(COMMANDS), st.lists(texts | st.sampled_from(["--name", "--file", "--by"]), max_size=4))
def test_any_arguments_are_accepted_or_refused(capsys, monkeypatch, command, words):
    assert _runs_or_is_refused([command, *words], capsys, monkeypatch)


def _runs_or_is_refused(arguments, capsys, monkeypatch) -> bool:
    """Run the command without credentials, so that accepted arguments fail there."""
    monkeypatch.setenv("DASK_BAKE_CLOUD", "aws")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    code = run(arguments)
    captured = capsys.readouterr()
    assert code in (0, 2)
    assert "Traceback" not in captured.err
    return bool(captured.out if code == 0 else captured.err)


def _read_every_way(folder: Path, text: str) -> None:
    path = folder / "file.yaml"
    path.write_text(text, errors="surrogatepass")
    node = {"cluster": "a", "public_key": "k", "scheduler": "tcp://a:1", "nprocs": 1, "nthreads": 1}
    for read in (
        lambda: read_configuration({}, [str(path)]),
        lambda: read_cluster_file(path, {}, {}),
        lambda: environment.parse_environment(path.read_bytes()),
        lambda: checked(LaunchOptions(user_data=path)),
        lambda: render(Role.HEAD, NodeSettings(**node, extra=text)),
    ):
        _accepted_or_refused(read)


def _accepted_or_refused(read) -> None:
    with suppress(BakeError):
        read()


def _is_plain(document) -> bool:
    try:
        yaml.safe_dump(document).encode()
    except (UnicodeEncodeError, yaml.YAMLError):
        return False
    return True
