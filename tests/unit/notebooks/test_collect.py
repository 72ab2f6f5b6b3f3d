"""The head's answer with its notebooks, of which nothing is believed."""

import base64
import gzip
import json

import pytest

from dask_bake.errors import BakeError
from dask_bake.notebooks import collect
from dask_bake.notebooks.collect import Notebooks, parse


def packed(text: bytes) -> str:
    return base64.b64encode(gzip.compress(text, mtime=0)).decode()


def answer(notebooks=None, left=None, *, is_complete=True) -> str:
    document = {"notebooks": notebooks or {}, "left": left or {}, "is_complete": is_complete}
    return packed(json.dumps(document).encode()) + "\n"


def test_notebooks_and_what_does_not_fit_are_returned():
    found = parse(answer({"a.ipynb": "{}", "deep/er/b c.ipynb": "é"}, {"big.ipynb": 30_000_000}))

    assert found == Notebooks({"a.ipynb": "{}", "deep/er/b c.ipynb": "é"}, ("big.ipynb",))
    assert found.trouble == ""


def test_a_home_that_was_not_searched_to_its_end_is_trouble():
    assert parse(answer(is_complete=False)).trouble


@pytest.mark.parametrize(
    "path",
    [
        "/etc/a.ipynb",
        "../a.ipynb",
        "a/../../b.ipynb",
        "a//b.ipynb",
        ".ssh/a.ipynb",
        ".ipynb",
        "a/ ./b.ipynb",
        "a\\b.ipynb",
        "a\x1b[31m.ipynb",
        "a\n.ipynb",
        "\ud800.ipynb",
        "authorized_keys",
        "a" * 250 + ".ipynb",
        "a/" * 250 + "b.ipynb",
    ],
)
def test_a_path_that_cannot_be_saved_is_named_and_not_saved(path):
    found = parse(answer({path: "{}", "good.ipynb": "{}"}))

    assert list(found.texts) == ["good.ipynb"]
    (left,) = found.left
    assert left.isprintable()
    assert left


def test_a_text_is_valid_unicode_and_a_path_has_one():
    found = parse(answer({"a.ipynb": "\ud800", "b.ipynb": 7, "c.ipynb": None}))

    assert found == Notebooks({"a.ipynb": "?"}, ("b.ipynb", "c.ipynb"))


@pytest.mark.parametrize(
    "output",
    [
        "",
        "nonsense",
        base64.b64encode(b"nonsense").decode(),
        packed(b"[]"),
        base64.b64encode(
            gzip.compress(b'{"notebooks": 1, "left": [], "is_complete": true}', mtime=0)
        ).decode(),
        packed(b"[" * 100_000),
        answer({"a.ipynb": "{}"})[:-20],
    ],
)
def test_an_answer_that_is_none_is_an_error(output):
    with pytest.raises(BakeError, match="not a list of notebooks"):
        parse(output)


def test_an_answer_is_read_up_to_a_limit(monkeypatch):
    """It may be a few bytes that decompress to all of this machine's memory."""
    monkeypatch.setattr(collect, "TEXT_LIMIT", 1000)

    with pytest.raises(BakeError, match="not a list of notebooks"):
        parse(answer({"a.ipynb": "0" * 2000}))


def test_a_number_of_notebooks_is_saved_and_no_more(monkeypatch):
    monkeypatch.setattr(collect, "MOST_FILES", 3)

    found = parse(answer({f"{number}.ipynb": "{}" for number in range(9)}))

    assert (len(found.texts), len(found.left), found.is_complete) == (3, 3, False)
