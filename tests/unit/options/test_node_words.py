"""Arguments that name a cluster and nodes of it."""

import pytest

from dask_bake.errors import UsageError
from dask_bake.options.node_words import node_number, node_numbers, one_name, split_words


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), (None, None)),
        (("taxi",), ("taxi", None)),
        (("3",), (None, "3")),
        (("taxi", "3"), ("taxi", "3")),
        (("taxi", "1-4,7"), ("taxi", "1-4,7")),
    ],
)
def test_the_first_word_is_the_name_unless_it_begins_with_a_digit(words, found):
    assert split_words(words) == found


@pytest.mark.parametrize("words", [("3", "taxi"), ("taxi", "other"), ("taxi", "3", "4"), ("3", "4")])
def test_other_words_are_wrong_use(words):
    with pytest.raises(UsageError) as caught:
        split_words(words)
    assert "1-4,7" in caught.value.hint


def test_ranges_hold_their_ends_and_an_open_one_everything_after_it():
    numbers = node_numbers("1-3,7", "NODE")
    assert [index for index in range(9) if index in numbers] == [1, 2, 3, 7]
    assert [index for index in range(4) if index in node_numbers("2-", "NODE")] == [2, 3]


def test_numbers_that_are_not_there_are_named_ten_at_most():
    assert node_numbers("1-4,7", "NODE").missing([0, 1, 2]) == (3, 4, 7)
    assert node_numbers("1-", "NODE").missing([0, 1]) == ()
    assert node_numbers("0-999999", "NODE").missing([]) == tuple(range(10))


@pytest.mark.parametrize("text", ["", "1,", "4-1", "x", "-1", "1-2-3", "1 2", "1234567", "\u0661"])
def test_what_is_no_number_of_nodes_is_wrong_use(text):
    with pytest.raises(UsageError, match="NODE must be numbers of nodes"):
        node_numbers(text, "NODE")


@pytest.mark.parametrize("text", ["1-2", "1,2", "1-"])
def test_several_nodes_where_one_is_meant_are_wrong_use(text):
    assert node_number("2-2", "NODE") == 2
    with pytest.raises(UsageError, match="NODE must be one node"):
        node_number(text, "NODE")


def test_the_name_may_be_given_in_both_ways_if_they_agree():
    assert (one_name("taxi", None), one_name(None, "taxi"), one_name("taxi", "taxi")) == ("taxi",) * 3
    with pytest.raises(UsageError, match="given twice"):
        one_name("taxi", "other")
