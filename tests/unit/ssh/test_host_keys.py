"""A node's console output: the last lines, and the host key."""

import pytest

from dask_bake.ssh.host_keys import host_key_from_console, last_lines
from fakes import CONSOLE, HOST_KEY


def test_the_last_non_empty_console_lines_are_plain_text():
    """Colours, carriage returns and empty lines are dropped, before they are counted."""
    text = "first\r\n\x1b[0;32m  OK  \x1b[0m] Started\x1b[K dask.\r\n\r\n\x1b[1mlast\x07\n   \n"

    assert last_lines(text, 2) == ["  OK  ] Started dask.", "last"]
    assert last_lines("", 3) == []


def test_earlier_messages_of_dask_bake_are_shown_and_the_shutdown_after_its_last_is_not():
    warning, end = "DASK-BAKE-WARNING idle: this cluster ends", "DASK-BAKE-END idle: why"
    text = f"boot\r\n{warning}\r\none\r\ntwo\r\n{end}\r\nStopped a\r\nStopped b\r\n"

    assert last_lines(text, 2) == [warning, "two", end]
    assert last_lines(text, 4) == [warning, "one", "two", end]
    assert last_lines(text.replace(end, "three"), 2) == [warning, "Stopped a", "Stopped b"]


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
