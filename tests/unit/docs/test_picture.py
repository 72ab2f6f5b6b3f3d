"""The program that draws a launch as an animated SVG."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

HOME = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"

LIVE = """
import sys, time
from rich.console import Console
from rich.live import Live
from rich.text import Text
with Live(Text("one\\ntwo"), console=Console(), auto_refresh=False) as live:
    live.refresh()
    time.sleep(0.5)
    live.update(Text("three", style="bold green"), refresh=True)
    time.sleep(0.5)
print("done")
"""


def load():
    spec = spec_from_file_location("picture", HOME / "docs/picture.py")
    module = module_from_spec(spec)
    sys.modules["picture"] = module
    spec.loader.exec_module(module)
    return module


picture = load()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("one\r\ntwo\r\x1b[2K\x1b[1A\x1b[2Kthree", "three"),
        ("one\r\ntwo\r\n\x1b[2A\x1b[2Kthree\r\n", "three\ntwo"),
        ("\x1b[?25l\x1b[32mone\x1b[0m\x1b[?25h", "\x1b[32mone\x1b[0m"),
    ],
)
def test_a_screen_shows_what_a_terminal_would(written, shown):
    screen = picture.Screen()
    screen.write(written)

    assert screen.text == shown


def test_a_command_is_recorded_frame_by_frame():
    frames = picture.record([sys.executable, "-c", LIVE])

    assert frames[0].text == ""
    assert frames[-1].text.replace("\x1b[1;32m", "").replace("\x1b[0m", "") == "three\ndone"
    assert "one\ntwo" in [frame.text for frame in frames]
    assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)


def test_a_command_that_fails_is_not_drawn():
    with pytest.raises(subprocess.CalledProcessError):
        picture.record([sys.executable, "-c", "raise SystemExit(1)"])


def test_the_picture_has_every_frame_once_and_rows_are_shared():
    frames = (
        picture.Frame(0.0, ""),
        picture.Frame(1.0, "role   state\nhead   …"),
        picture.Frame(2.0, "role   state\nhead   <up>"),
    )
    drawn = picture.draw(frames, "dask-bake launch")
    root = ET.fromstring(drawn)
    rows = [" ".join(word.text for word in row) for row in root.find(f"{SVG}defs")]
    shown = [group for group in root.iter(f"{SVG}g") if group.get("class") == "frame"]

    assert rows == ["$ dask-bake launch", "role state", "head …", "head <up>"]
    assert [len(group) for group in shown] == [1, 3, 3]
    assert "@keyframes frame2 { 0.00% { visibility: hidden } 20.00% { visibility: visible } }" in drawn
