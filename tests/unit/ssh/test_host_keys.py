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


OTHER = HOST_KEY.replace("Host0", "Other")
HALF, REST = HOST_KEY[:30], HOST_KEY[30:]
BLOCK = CONSOLE.removeprefix("booting\n").removesuffix("ready\n")
KERNEL = "[   37.064104] EXT4-fs (nvme0n1p1): resizing filesystem from 2588672 to 5210107 blocks"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (CONSOLE, HOST_KEY),
        (CONSOLE + CONSOLE.replace(HOST_KEY, OTHER), OTHER),
        (CONSOLE.replace("\n", "\r\n"), HOST_KEY),
        (CONSOLE.replace("ssh-ed25519", "[   3.1] unit[1]: ssh-ed25519"), HOST_KEY),
        (f"{CONSOLE}-----BEGIN SSH HOST KEY KEYS-----\n{HALF}", HOST_KEY),
        (CONSOLE.split("-----END", maxsplit=1)[0], HOST_KEY),
        ("-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAA x\n-----END SSH HOST KEY KEYS-----\n", None),
        ("booting\n", None),
        ("", None),
    ],
)
def test_the_host_key_is_the_last_whole_one_on_the_console(text, key):
    assert host_key_from_console(text) == key


@pytest.mark.parametrize(
    "text",
    [
        BLOCK.replace(HOST_KEY, f"{KERNEL}\n{HOST_KEY}"),
        BLOCK.replace(" root@head", KERNEL),
        BLOCK.replace("KEYS-----\n", f"KEYS-----{KERNEL}\n"),
        BLOCK.replace("-----END SSH HOST KEY KEYS", f"-----END SSH HOS{KERNEL}\nT KEY KEYS"),
        BLOCK.replace("-----BEGIN SSH HOST KEY KEYS", f"-----BEGIN SS{KERNEL}\nH HOST KEY KEYS"),
        f"Starting Load/Save Random Seed.{KERNEL}\n" + BLOCK.replace("-----BEGIN", f"{KERNEL}-----BEGIN"),
        BLOCK.replace(HOST_KEY, f"{HALF}{KERNEL}\n{REST}") + BLOCK,
        BLOCK + BLOCK.replace(HOST_KEY, f"{HALF}{KERNEL}\n{REST}"),
    ],
)
def test_messages_of_the_kernel_in_and_around_a_block_leave_its_key_readable(text):
    """The kernel prints to the console whatever else does, in the middle of a line too."""
    assert host_key_from_console(text) == HOST_KEY


@pytest.mark.parametrize(
    "damaged",
    [
        f"{HALF}{KERNEL}\n{REST}",
        HOST_KEY[:-1],
        f"{HOST_KEY}A",
        f"{HOST_KEY}=",
        HOST_KEY.replace("NTE5", "NTE6"),
    ],
)
def test_a_damaged_host_key_is_not_taken(damaged):
    assert host_key_from_console(BLOCK.replace(HOST_KEY, damaged)) is None


def test_of_several_blocks_the_key_of_most_is_taken():
    """A changed letter is not to be seen in a block by itself."""
    assert host_key_from_console(BLOCK + BLOCK + BLOCK.replace(HOST_KEY, OTHER)) == HOST_KEY


def test_a_key_that_something_else_prints_is_not_the_host_s():
    """A program that shows authorized keys, however often."""
    assert host_key_from_console(f"{OTHER} a\n{BLOCK}{OTHER} b\n{OTHER} c\n") == HOST_KEY
