"""YAML of the user's, read as it is written."""

import pytest
import yaml

from dask_bake.options.text_files import keys_that_are_no_text, parse_settings


@pytest.mark.parametrize(
    "written",
    ["12:30", "1:30:5", "0123", "012345670123", "1.10", "1_000", "0x10", "1e3", ".5", "2026-01-01", "on"],
)
def test_what_yaml_makes_another_value_of_stays_text(written):
    assert parse_settings(f"bake:\n  tag:\n    {written}: {written}\n") == {
        "bake": {"tag": {written: written}}
    }


@pytest.mark.parametrize(
    ("written", "value"),
    [("7", 7), ("-3", -3), ("0.2", 0.2), ("true", True), ("false", False), ("~", None), ("[1, a]", [1, "a"])],
)
def test_what_is_written_as_json_would_write_it_keeps_its_type(written, value):
    assert parse_settings(f"key: {written}") == {"key": value}


def test_anchors_are_merged():
    assert parse_settings("a: &a {x: 01}\nb:\n  <<: *a\n  y: 2\n")["b"] == {"x": "01", "y": 2}


def test_keys_that_yaml_does_not_read_as_text_are_found_with_their_lines():
    text = "a:\n  on: 1\n  b: [{8080: x}]\n  'yes': 2\n  <<: {no: 1}\n"

    assert sorted(keys_that_are_no_text(text)) == [("8080", 3), ("no", 5), ("on", 2)]


def test_an_alias_that_contains_itself_is_followed_once():
    assert list(keys_that_are_no_text("a: &a\n  on: 1\n  b: *a\n")) == [("on", 2)]


@pytest.mark.parametrize("text", ["a: [", "a: !!python/object:x y", "{" * 1000])
def test_what_is_not_yaml_is_a_yaml_error(text):
    with pytest.raises(yaml.YAMLError):
        parse_settings(text)
