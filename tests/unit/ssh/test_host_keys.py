"""A node's console output: the last lines, and the host key."""

import pytest

from dask_bake.ssh.host_keys import host_key_from_console, last_lines
from fakes import CONSOLE, HOST_KEY


def test_the_last_non_empty_console_lines_are_plain_text():
    """Colours, carriage returns and empty lines are dropped, before they are counted."""
    text = "first\r\n\x1b[0;32m  OK  \x1b[0m] Started\x1b[K dask.\r\n\r\n\x1b[1mlast\x07\n   \n"

    assert last_lines(text, 2) == ["  OK  ] Started dask.", "last"]
    assert last_lines("", 3) == []


def test_messages_of_dask_bake_are_shown_though_shutdown_messages_follow():
    text = "boot\r\nDASK-BAKE-FAILED init: why\r\none\r\ntwo\r\nthree\r\n"

    assert last_lines(text, 2) == ["DASK-BAKE-FAILED init: why", "two", "three"]
    assert last_lines(text, 4) == ["DASK-BAKE-FAILED init: why", "one", "two", "three"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (CONSOLE, HOST_KEY),
        (CONSOLE + CONSOLE.replace("Host", "Other"), HOST_KEY.replace("Host", "Other")),
        (CONSOLE.replace("\n", "\r\n"), HOST_KEY),
        (CONSOLE.replace("ssh-ed25519", "[   3.1] unit[1]: ssh-ed25519"), HOST_KEY),
        (CONSOLE + "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAAPart", HOST_KEY),
        (CONSOLE.split("-----END", maxsplit=1)[0], None),
        ("-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAA x\n-----END SSH HOST KEY KEYS-----\n", None),
        ("booting\n", None),
        ("", None),
    ],
)
def test_the_host_key_is_read_from_the_last_complete_block_of_the_console(text, key):
    assert host_key_from_console(text) == key
