"""Draw ``docs/launch.svg``: a real launch in the local cloud, as a terminal shows it.

``make picture`` runs it. The launch runs in a pseudo-terminal, and rich draws what it writes as the frames of
an animation, with the times of the launch. Viewers without animations show the last frame.
"""

import fcntl
import html
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("launch.svg")
NAME = "taxi"
LAUNCH = ("launch", "--name", NAME, "--count", "5", "--nprocs", "4")
COLUMNS, ROWS = 80, 50
INTERVAL = 0.4
"""Seconds between two frames."""
PAUSE = 0.02
"""Seconds without output after which a frame is complete; live displays are refreshed more rarely."""
LAST_FRAME = 8.0
"""Seconds for which the last frame is shown before the animation begins again."""
MOST_FRAMES = 60

CONTROL = re.compile(r"\x1b\[(\d*)A|(\x1b\[2K)|(\n)|\r|\x1b\[\?25[lh]")
SIZES = ("width", "height", "terminal_x", "terminal_y")
PARTS = "\0".join(["{chrome}", "{styles}", "{matrix}", *(f"{{{name}}}" for name in SIZES)])
TEXT = re.compile(r'<text class="([^"]+)" x="([^"]+)" y="([^"]+)" textLength="([^"]+)"[^>]*>(.*?)</text>')
SPACE = "&#160;"
FONTS = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
DOCUMENT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}">
<style>
text {{ font-family: {fonts}; font-size: 20px }}
.frame {{ visibility: hidden }}
.frame:last-of-type {{ visibility: visible }}
{styles}
{animations}
@media (prefers-reduced-motion: reduce) {{ .frame {{ animation: none !important }} }}
</style>
<defs>
{rows}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{frames}
</g>
</svg>
"""


@dataclass(frozen=True)
class Frame:
    """What the terminal shows from ``at`` seconds on, with ANSI styles."""

    at: float
    text: str


class Screen:
    """A terminal that understands the output of rich's live displays: lines, cursor up, erase line."""

    def __init__(self) -> None:
        self._lines = [""]
        self._row = 0

    def write(self, text: str) -> None:
        """Show the output of a command."""
        end = 0
        for control in CONTROL.finditer(text):
            self._lines[self._row] += text[end : control.start()]
            end = control.end()
            up, erase, new_line = control.groups()
            if up is not None:
                self._row -= int(up or 1)
            elif erase:
                self._lines[self._row] = ""
            elif new_line:
                self._row += 1
                if self._row == len(self._lines):
                    self._lines.append("")
        self._lines[self._row] += text[end:]

    @property
    def text(self) -> str:
        """The text on the screen."""
        return "\n".join(self._lines).rstrip()


def output(command: list[str]) -> Iterator[str]:
    """Yield a command's output in a terminal, one item for each pause.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        with suppress(OSError):  # the command has ended, and with it the terminal
            while True:
                if select.select([ours], [], [], PAUSE)[0]:
                    written += os.read(ours, 65536)
                elif written:
                    yield written.decode()
                    written = b""
        yield written.decode()
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def record(command: list[str]) -> tuple[Frame, ...]:
    """Run the command in a terminal, and return the frames."""
    screen, began = Screen(), time.monotonic()
    frames = [Frame(0.0, "")]
    for text in output(command):
        screen.write(text)
        now = time.monotonic() - began
        if now - frames[-1].at >= INTERVAL:
            frames.append(Frame(now, screen.text))
    last = Frame(time.monotonic() - began, screen.text)
    return (*frames[:: len(frames) // MOST_FRAMES + 1], last)


class Drawing:
    """An SVG animation in the making. Frames share their rows and styles, which keeps it small."""

    def __init__(self) -> None:
        self.chrome = ""
        self.sizes: dict[str, str] = {}
        self.styles: dict[str, str] = {}
        self.rows: dict[str, str] = {}
        self.frames: list[str] = []

    def add(self, text: str) -> None:
        """Add a frame as rich draws it."""
        console = Console(width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True)
        console.print(Text.from_ansi(text), soft_wrap=True)
        picture = console.export_svg(code_format=PARTS, unique_id="rich", title="")
        self.chrome, rules, matrix, *sizes = picture.split("\0")
        self.sizes = dict(zip(SIZES, sizes, strict=True))
        styles = dict(re.findall(r"\.(\S+) \{ (.*?) \}", rules))
        rows: dict[str, list[str]] = {}
        for style, x, y, length, words in TEXT.findall(matrix):
            name = self.styles.setdefault(styles[style], f"s{len(self.styles)}")
            rows.setdefault(y, []).extend(place_words(words, name, float(x), float(length)))
        uses = [f'<use href="#{self._row("".join(words))}" y="{y}"/>' for y, words in rows.items()]
        self.frames.append(f'<g id="frame{len(self.frames)}" class="frame">{"".join(uses)}</g>')

    def _row(self, row: str) -> str:
        return self.rows.setdefault(row, f"row{len(self.rows)}")


def place_words(escaped: str, style: str, left: float, length: float) -> Iterator[str]:
    """Yield the elements of a text, one for each word, so that columns are aligned in every font."""
    width = length / len(html.unescape(escaped))
    for part in re.split(f"((?:{SPACE})+)", escaped):
        cells = len(html.unescape(part))
        if part and not part.startswith(SPACE):
            yield f'<text class="{style}" x="{left:g}" textLength="{cells * width:g}">{part}</text>'
        left += cells * width


def draw(frames: tuple[Frame, ...], command: str) -> str:
    """Return the SVG animation of the frames, each below a prompt with the command."""
    height = max(frame.text.count("\n") for frame in frames)
    length = frames[-1].at + LAST_FRAME
    ends = [*(frame.at for frame in frames[1:]), length]
    drawing = Drawing()
    for frame in frames:
        missing = "\n" * (height - frame.text.count("\n"))
        drawing.add(f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m\n{frame.text}{missing}")
    times = enumerate(zip(frames, ends, strict=True))
    animations = [animation(number, frame.at, end, length) for number, (frame, end) in times]
    return DOCUMENT.format(
        **drawing.sizes,
        label=f"A terminal that runs {command}",
        fonts=FONTS,
        chrome=drawing.chrome,
        styles="\n".join(f".{name} {{ {rule} }}" for rule, name in drawing.styles.items()),
        animations="\n".join(animations),
        rows="\n".join(f'<g id="{name}">{row}</g>' for row, name in drawing.rows.items()),
        frames="\n".join(drawing.frames),
    )


def animation(number: int, begin: float, end: float, length: float) -> str:
    """Return the CSS that shows a frame from begin to end, of an animation of so many seconds."""
    steps = {0.0: "hidden", begin: "visible", end: "hidden"}
    shown = " ".join(
        f"{at / length:.2%} {{ visibility: {state} }}" for at, state in steps.items() if at < length
    )
    rule = f"#frame{number} {{ animation: frame{number} {length:.1f}s step-end infinite }}"
    return f"@keyframes frame{number} {{ {shown} }} {rule}"


def main(dask_bake: str) -> None:
    """Bake the image if there is none, record a launch, and end the cluster."""
    os.environ["DASK_BAKE_CLOUD"] = "local"
    subprocess.run([dask_bake, "bake", "--installer", "auto"], check=True)
    try:
        frames = record([dask_bake, *LAUNCH])
    finally:
        subprocess.run([dask_bake, "down", NAME], check=False)
    PICTURE.write_text(draw(frames, f"dask-bake {' '.join(LAUNCH)}"))
    sys.stdout.write(f"{PICTURE} has {len(frames)} frames\n")


if __name__ == "__main__":
    main(sys.argv[1])
