"""Building blocks of views: errors, JSON, ages and sizes."""

import json
from datetime import timedelta

import pytest

from dask_bake.errors import BakeError
from dask_bake.view import layout
from dask_bake.view.cluster_json import cluster_document, metadata_document, plan_document
from fakes import a_cluster, a_plan
from rendering import a_console, rendered, written

CLUSTER = a_cluster()


def test_data_is_never_markup():
    error = BakeError("[red]no[/red] such [thing", hint="[b]")

    assert rendered(layout.error_text(error)) == "Error: [red]no[/red] such [thing\nHint: [b]"


@pytest.mark.parametrize(
    "document", [cluster_document(CLUSTER), plan_document(a_plan()), metadata_document(CLUSTER, "k")]
)
def test_documents_are_json(document):
    assert json.loads(layout.as_json(document)) == document


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=50), "50 s"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_an_age_has_one_unit(age, text):
    assert layout.age_text(age) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "?"), (5_400_000, "5 MB"), (999_999_999, "1000 MB"), (1_250_000_000, "1.2 GB")]
)
def test_a_size_has_decimal_units(count, text):
    assert layout.bytes_text(count) == text


def narrow(renderable, width):
    console = a_console(width, is_terminal=True)
    console.print(renderable)
    lines = written(console).splitlines()
    assert max(map(len, lines)) <= width
    return lines


@pytest.mark.parametrize("width", [60, 40])
def test_a_table_in_a_narrow_terminal_loses_no_character(width):
    cells = ("bug-on-a-long-name", "local us-east-1", "3", "4 of 12", "m6i.2xlarge", "11 min")
    shown = layout.table("cluster", "where", ">nodes", ">workers", "type", ">age")
    shown.add_row(*cells)

    lines = narrow(shown, width)

    characters = sorted("".join("".join(line.split()) for line in lines))
    expected = [*cells, "cluster", "where", "nodes", "workers", "type", "age"]
    assert [each for each in characters if each != "─"] == sorted("".join("".join(expected).split()))


def test_a_grid_in_a_narrow_terminal_loses_no_character():
    lines = narrow(layout.grid([("i-0123456789abcdef0", "a description of it", "$0.10")], wraps=1), 30)

    assert "".join("".join(line[:12].split()) for line in lines).startswith("i-0123")
    assert sorted("".join("".join(lines).split())) == sorted("i-0123456789abcdef0adescriptionofit$0.10")


def test_a_table_with_room_enough_is_on_one_line():
    shown = layout.grid([("scripts/10-system.sh", "x" * 30)], wraps=1)

    assert narrow(shown, 80) == [f"scripts/10-system.sh  {'x' * 30}"]
