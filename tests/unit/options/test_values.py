"""Values are parsed, and error messages name their origin."""

from pathlib import Path

import pytest

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect
from dask_bake.options import values


@pytest.mark.parametrize(
    ("parse", "written", "parsed"),
    [
        (values.integer, "8", 8),
        (values.integer, " -3 ", -3),
        (values.integer, 8, 8),
        (values.integer_or_auto, "auto", None),
        (values.integer_or_auto, "4", 4),
        (values.string, "a b", "a b"),
        (values.string, 4, "4"),
        (values.boolean, "Yes", True),
        (values.boolean, "0", False),
        (values.boolean, False, False),
        (values.comma_list, "a, b,a", ("a", "b")),
        (values.comma_list, ("a", "b,c"), ("a", "b", "c")),
        (values.comma_list, ["a"], ("a",)),
        (values.strings, ("a,b", "c"), ("a,b", "c")),
        (values.pairs, ("a=1", "b=x=y", "c="), (("a", "1"), ("b", "x=y"), ("c", ""))),
        (values.pairs, {"a": 1, "b": True, "c": None}, (("a", "1"), ("b", "true"), ("c", ""))),
        (values.pairs, ("a=1", "a=1"), (("a", "1"),)),
        (values.dask_ec2_tags, "a:1,b:x:y", (("a", "1"), ("b", "x:y"))),
        (values.dask_ec2_tags, {"a": 1}, (("a", "1"),)),
        (values.networks, "192.0.2.7,10.0.0.0/8", ("192.0.2.7/32", "10.0.0.0/8")),
        (values.networks, "sg-0123456789abcdef0", ("sg-0123456789abcdef0",)),
        (values.networks, "2001:db8::1", ("2001:db8::1/128",)),
        (values.choice(Connect), "eice", Connect.EICE),
        (values.path, "a/b", Path("a/b")),
        (values.duration, "12h", 43_200),
        (values.duration, "1d2h3m4s", 93_784),
        (values.duration, "90", 90),
        (values.duration, 0, 0),
    ],
)
def test_a_value_is_parsed(parse, written, parsed):
    assert parse(written, "--it") == parsed


@pytest.mark.parametrize(
    ("login", "name"),
    [
        ("anna", "dask-anna"),
        ("Anna.Müller", "dask-anna-muller"),
        ("EXAMPLE\\anna", "dask-anna"),
        ("anna@example.com", "dask-anna"),
        ("_svc-ci_", "dask-svc-ci"),
        ("42", "dask-42"),
        ("a" * 26 + "-bc", "dask-" + "a" * 26),
        ("中文", "dask"),
        ("", "dask"),
    ],
)
def test_the_default_name_has_the_user_and_is_valid(login, name):
    assert values.default_name(login) == name
    assert values.check_name(name) == name


def test_a_tilde_is_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")

    assert values.path("~/key", "--it") == Path("/home/me/key")


@pytest.mark.parametrize(
    ("parse", "written", "message"),
    [
        (values.integer, "many", "--it must be a whole number, not 'many'"),
        (values.integer, "1.5", "--it must be a whole number, not '1.5'"),
        (values.integer, "", "--it must be a whole number, not ''"),
        (values.integer, True, "--it must be a whole number, not True"),
        (values.integer, "٤", "--it must be a whole number, not '٤'"),
        (values.integer, "9" * 19, f"--it must be a whole number, not '{'9' * 19}'"),
        (values.integer_or_auto, "all", "--it must be a whole number or auto, not 'all'"),
        (values.duration, "soon", "--it must be a duration, not 'soon'"),
        (values.duration, "1.5h", "--it must be a duration, not '1.5h'"),
        (values.duration, "-1h", "--it must be a duration, not '-1h'"),
        (values.duration, True, "--it must be a duration, not True"),
        (values.string, "", "--it must be a non-empty string, not ''"),
        (values.string, " \n", "--it must be a non-empty string, not ' \\n'"),
        (values.string, None, "--it must be a non-empty string, not None"),
        (values.string, ["a"], "--it must be a non-empty string, not ['a']"),
        (values.boolean, "perhaps", "--it must be true or false, not 'perhaps'"),
        (values.comma_list, "a,,b", "--it has an empty entry: 'a,,b'"),
        (values.comma_list, ("a,",), "--it has an empty entry: 'a,'"),
        (values.comma_list, [], "--it is an empty list"),
        (values.comma_list, "", "--it must be a non-empty string, not ''"),
        (values.pairs, ("a",), "--it must be KEY=VALUE, not 'a'"),
        (values.pairs, ("=1",), "--it must be KEY=VALUE, not '=1'"),
        (values.pairs, ("a=1", "a=2"), "--it gives a twice: '1' and '2'"),
        (values.dask_ec2_tags, "a=1", "--it must be KEY:VALUE, not 'a=1'"),
        (values.dask_ec2_tags, "a:1,a:2", "--it gives a twice: '1' and '2'"),
        (
            values.networks,
            "10.0.0.7/8",
            "--it: '10.0.0.7/8' is not a CIDR block: 10.0.0.7/8 has host bits set",
        ),
        (
            values.networks,
            "home",
            "--it: 'home' is not a CIDR block: 'home' does not appear to be an IPv4 or IPv6 network",
        ),
        (values.choice(Connect), "transport-pigeon", "--it: 'transport-pigeon' is not a valid choice"),
        (values.line, "a\x1b[31m", r"--it contains a control character: 'a\x1b[31m'"),
        (values.path, "", "--it must be a non-empty string, not ''"),
        (values.path, "~:", "--it is not a valid path: '~:'"),
        (values.path, "a\0b", r"--it is not a valid path: 'a\x00b'"),
        (values.path, "\ud800", r"--it is not a valid path: '\ud800'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_origin(parse, written, message):
    with pytest.raises(UsageError) as caught:
        parse(written, "--it")

    assert caught.value.message == message
    assert caught.value.hint


def test_a_long_value_is_truncated_in_the_message():
    with pytest.raises(UsageError) as caught:
        values.integer("x" * 5000, "--it")

    assert caught.value.message == f"--it must be a whole number, not '{'x' * 99}…"
