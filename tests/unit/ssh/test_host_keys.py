"""What a node's console says, as plain text."""

from dask_bake.ssh.host_keys import last_lines


def test_the_last_lines_that_say_something_are_plain_text():
    """Colours, carriage returns and empty lines are dropped, before they are counted."""
    text = "first\r\n\x1b[0;32m  OK  \x1b[0m] Started\x1b[K dask.\r\n\r\n\x1b[1mlast\x07\n   \n"

    assert last_lines(text, 2) == ["  OK  ] Started dask.", "last"]
    assert last_lines("", 3) == []


def test_what_a_node_says_of_its_own_end_is_not_lost_in_its_shutdown():
    text = "boot\r\nDASK-BAKE-FAILED init: why\r\none\r\ntwo\r\nthree\r\n"

    assert last_lines(text, 2) == ["DASK-BAKE-FAILED init: why", "two", "three"]
    assert last_lines(text, 4) == ["DASK-BAKE-FAILED init: why", "one", "two", "three"]
