"""Errors as Python shows them."""

import traceback

import pytest

from dask_bake.client.explain import explained
from dask_bake.errors import BakeError, UsageError, unexpected
from dask_bake.hints import command_line


@explained
def fail(error: BakeError, **_: object) -> None:
    inner(error)


def inner(error: BakeError) -> None:
    try:
        int("a detail")
    except ValueError as detail:
        raise error from detail


def shown(error: BakeError, **keywords: object) -> str:
    """Return what Python prints for an error that nobody handles."""
    with pytest.raises(BakeError) as raised:
        fail(error, **keywords)
    return "".join(traceback.format_exception(raised.value))


def test_an_error_is_its_sentence_and_its_hint_without_frames_of_ours():
    text = shown(
        UsageError("there is no cluster", hint=f"{command_line('ls')} lists them"), region="eu-west-1"
    )

    assert text.endswith(
        "UsageError: there is no cluster\nHint: dask-bake ls --region eu-west-1 lists them\n"
    )
    assert "inner" not in text
    assert "a detail" not in text


def test_what_a_cluster_prints_controls_no_terminal_by_a_traceback():
    text = shown(UsageError("cluster dask ended: \x1b\x9b31m\u3164", hint="\x1b see"))
    assert text.endswith("UsageError: cluster dask ended: ??31m?\nHint: ? see\n")


def test_a_defect_keeps_its_frames(monkeypatch):
    assert "inner" in shown(unexpected(KeyError("x")))
    monkeypatch.setenv("DASK_BAKE_DEBUG", "1")
    assert "inner" in shown(BakeError("something"))


def test_an_error_that_passes_two_functions_has_its_hint_once():
    @explained
    def outer() -> None:
        fail(BakeError("something", hint="do"))

    with pytest.raises(BakeError) as raised:
        outer()
    assert str(raised.value) == "something\nHint: do"
