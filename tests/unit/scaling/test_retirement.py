"""Answers of the program on the head: whoever is there, wrong ones do no harm."""

import math

import pytest

from dask_bake.scaling.plan import NodeLoad
from dask_bake.scaling.retirement import Remaining, parse_loads, parse_remaining


def test_loads_are_read_by_node():
    answer = {
        "loads": {
            "10.0.0.5": {"workers": 2, "tasks": 3, "occupancy": 1.5, "nbytes": 10, "holds": "an actor"},
            "10.0.0.6": {"workers": 2, "tasks": 0, "occupancy": 0, "nbytes": 0, "holds": ""},
        }
    }
    assert parse_loads(answer) == {
        "10.0.0.5": NodeLoad(2, 3, 1.5, 10, "an actor"),
        "10.0.0.6": NodeLoad(2, 0, 0.0, 0, ""),
    }


@pytest.mark.parametrize(
    "load", [None, [], {"occupancy": math.nan}, {"occupancy": math.inf, "tasks": -1, "nbytes": True}]
)
def test_numbers_that_are_none_count_as_nothing(load):
    assert set(parse_loads({"loads": {"10.0.0.5": load}}).values()) <= {NodeLoad()}


def test_text_of_the_head_is_printable():
    assert parse_remaining({"failed": "\x1b[2J" + "x" * 999}).failed == "?[2J" + "x" * 296


@pytest.mark.parametrize("answer", [{}, {"left": None}, {"left": []}, {"workers": 1}])
def test_an_answer_without_counts_never_means_that_nodes_are_empty(answer):
    assert not parse_remaining(answer).is_empty


def test_nodes_are_empty_once_nothing_is_left():
    assert parse_remaining({"left": {"10.0.0.5": 0}, "failed": ""}).is_empty
    assert Remaining({}).is_empty
    assert not Remaining({"10.0.0.5": 1}).is_empty
    assert not Remaining({"10.0.0.5": 0}, "no room").is_empty
