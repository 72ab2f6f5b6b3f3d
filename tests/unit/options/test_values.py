"""What users write as values is parsed once, and a complaint names where it was written."""

from pathlib import Path

import pytest

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect
from dask_bake.options import values


@pytest.mark.parametrize(
    ("parse", "written", "parsed"),
    [
        (values.whole_number, "8", 8),
        (values.whole_number, " -3 ", -3),
        (values.whole_number, 8, 8),
        (values.number_or_auto, "auto", None),
        (values.number_or_auto, "4", 4),
        (values.text, "a b", "a b"),
        (values.text, 4, "4"),
        (values.switch, "Yes", True),
        (values.switch, "0", False),
        (values.switch, False, False),
        (values.words, "a, b,a", ("a", "b")),
        (values.words, ("a", "b,c"), ("a", "b", "c")),
        (values.words, ["a"], ("a",)),
        (values.texts, ("a,b", "c"), ("a,b", "c")),
        (values.pairs, ("a=1", "b=x=y", "c="), (("a", "1"), ("b", "x=y"), ("c", ""))),
        (values.pairs, {"a": 1, "b": True, "c": None}, (("a", "1"), ("b", "true"), ("c", ""))),
        (values.pairs, ("a=1", "a=1"), (("a", "1"),)),
        (values.dec2_tags, "a:1,b:x:y", (("a", "1"), ("b", "x:y"))),
        (values.dec2_tags, {"a": 1}, (("a", "1"),)),
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
def test_a_value_is_what_was_meant(parse, written, parsed):
    assert parse(written, "--it") == parsed


def test_a_path_begins_in_the_users_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")

    assert values.path("~/key", "--it") == Path("/home/me/key")


@pytest.mark.parametrize(
    ("parse", "written", "sentence"),
    [
        (values.whole_number, "many", "--it is 'many', which should be a whole number"),
        (values.whole_number, "1.5", "--it is '1.5', which should be a whole number"),
        (values.whole_number, "", "--it is '', which should be a whole number"),
        (values.whole_number, True, "--it is True, which should be a whole number"),
        (values.whole_number, "٤", "--it is '٤', which should be a whole number"),
        (values.whole_number, "9" * 19, f"--it is '{'9' * 19}', which should be a whole number"),
        (values.number_or_auto, "all", "--it is 'all', which should be a whole number or auto"),
        (values.duration, "soon", "--it is 'soon', which is no duration"),
        (values.duration, "1.5h", "--it is '1.5h', which is no duration"),
        (values.duration, "-1h", "--it is '-1h', which is no duration"),
        (values.duration, True, "--it is True, which is no duration"),
        (values.text, "", "--it is '', which should be a text"),
        (values.text, " \n", "--it is ' \\n', which should be a text"),
        (values.text, None, "--it is None, which should be a text"),
        (values.text, ["a"], "--it is ['a'], which should be a text"),
        (values.switch, "perhaps", "--it is 'perhaps', which should be true or false"),
        (values.words, "a,,b", "--it has an empty entry in 'a,,b'"),
        (values.words, ("a,",), "--it has an empty entry in 'a,'"),
        (values.words, [], "--it is an empty list"),
        (values.words, "", "--it is '', which should be a text"),
        (values.pairs, ("a",), "--it is 'a', which should be KEY=VALUE"),
        (values.pairs, ("=1",), "--it is '=1', which should be KEY=VALUE"),
        (values.pairs, ("a=1", "a=2"), "--it gives a twice: '1' and '2'"),
        (values.dec2_tags, "a=1", "--it has 'a=1', which should be KEY:VALUE"),
        (values.dec2_tags, "a:1,a:2", "--it gives a twice: '1' and '2'"),
        (
            values.networks,
            "10.0.0.7/8",
            "--it is '10.0.0.7/8', which is no address block: 10.0.0.7/8 has host bits set",
        ),
        (
            values.networks,
            "home",
            "--it is 'home', which is no address block: 'home' does not appear to be an IPv4 or IPv6 network",
        ),
        (values.choice(Connect), "carrier-pigeon", "--it is 'carrier-pigeon'"),
        (values.line, "a\x1b[31m", r"--it is 'a\x1b[31m', which holds a control character"),
        (values.path, "", "--it is '', which should be a text"),
        (values.path, "~:", "--it is '~:', which cannot be a path"),
        (values.path, "a\0b", r"--it is 'a\x00b', which cannot be a path"),
        (values.path, "\ud800", r"--it is '\ud800', which cannot be a path"),
    ],
)
def test_what_is_no_value_is_refused_with_where_it_was_written(parse, written, sentence):
    with pytest.raises(UsageError) as caught:
        parse(written, "--it")

    assert caught.value.message == sentence
    assert caught.value.hint


def test_of_a_long_value_the_beginning_is_repeated():
    with pytest.raises(UsageError) as caught:
        values.whole_number("x" * 5000, "--it")

    assert caught.value.message == f"--it is '{'x' * 99}…, which should be a whole number"
