"""Building blocks of views: errors, JSON, ages and sizes."""

import json
from datetime import timedelta

import pytest

from dask_bake.errors import BakeError
from dask_bake.view import layout
from dask_bake.view.cluster_json import cluster_document, metadata_document, plan_document
from fakes import a_cluster, a_plan
from rendering import rendered

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
