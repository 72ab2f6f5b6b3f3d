"""What others wrote cannot control a terminal."""

import pytest

from dask_bake.system.text import printable

UNSAFE = [
    "\x00", "\x07", "\x08", "\r", "\x1b", "\x7f",  # C0 and DEL
    "\x80", "\x85", "\x9b", "\x9d", "\x9f",  # C1, in which an escape sequence is one character
    "\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069",  # bidirectional
    "\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\U000e0041",  # without a width
    "\u2028", "\u2029", "\ud800",
    "\u034f", "\u115f", "\u1160", "\u180b", "\u3164", "\ufe0f", "\uffa0", "\U000e0100",  # shown as nothing
]  # fmt: skip


@pytest.mark.parametrize("character", UNSAFE, ids=ascii)
def test_an_unsafe_character_becomes_a_question_mark(character):
    assert printable(f"a{character}[31mb") == "a?[31mb"


@pytest.mark.parametrize("text", ["", "plain", "ünï → … ─", "日本語", "a\nb\tc", "\u00a0", "e\u0301", "🙂"])
def test_other_text_stays_as_it_is(text):
    assert printable(text) == text


def test_new_lines_are_kept_only_where_they_are_wanted():
    assert printable("a\nb\tc", keep="") == "a?b?c"
