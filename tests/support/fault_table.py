"""Record the results of fault tests and write ``docs/faults.md`` from them.

Each row is a file below ``build/faults``, so that parallel processes do not conflict; a test that runs again
replaces its row. ``python -m fault_table`` writes the page: recorded rows replace those of the page, and rows
without a test are dropped.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import click

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/faults.md"
RECORDED = TESTS.parent / "build/faults"
PARTS = ("At launch", "At the end of a cluster", "In the launcher's process", "On a node", "At boot")
COLUMNS = "| fault | what happens | seconds | what is left |\n|---|---|---|---|\n"
ABOUT = """\
# Faults

Each row is a test that causes the fault and checks what this page says. `make test` records the results and
`make faults` writes this page from them. A test fails if its row is missing here or differs.

The rows of launches and of ends of clusters come from a simulated EC2: the local cloud's API without
machines, which refuses or loses requests by rule. The rows of nodes come from real machines, which
systemd-nspawn boots in the local cloud from a baked image. The seconds are those of one run. Where the
launcher pauses before a retry, they include the pauses by a simulated clock.
"""
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Row:
    """The result of one fault test."""

    part: str
    fault: str
    happens: str
    left: str
    seconds: float

    @property
    def words(self) -> tuple[str, ...]:
        """Return the cells that are the same in every run."""
        return (self.part, self.fault, self.happens, self.left)

    def __str__(self) -> str:
        seconds = f"{self.seconds:.1f}" if self.seconds < 9.95 else f"{self.seconds:.0f}"
        return f"| {self.fault} | {self.happens} | {seconds} | {self.left} |\n"


def store(row: Row, folder: Path = RECORDED) -> None:
    """Record the row; replace an earlier one of the same fault."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{row.part}\n{row.fault}".encode()).hexdigest()[:16]
    (folder / f"{name}.json").write_text(json.dumps(asdict(row)))


def recorded(folder: Path = RECORDED) -> list[Row]:
    """Return the recorded rows."""
    return [Row(**json.loads(path.read_text())) for path in folder.glob("*.json")]


@cache
def told_in(folder: Path = TESTS) -> Mapping[str, Place]:
    """Return the string literals of tests that use ``fault_row``, with the first place of each.

    The files are parsed once in a process.
    """
    found: dict[str, Place] = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "fault_row" in text else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                place = (str(path), node.lineno, node.col_offset)
                found[node.value] = min(place, found.get(node.value, place))
    return found


def rows_of(page: str) -> list[Row]:
    """Return the rows of the page."""
    found, part = [], ""
    for line in page.splitlines():
        part = line.removeprefix("## ") if line.startswith("## ") else part
        if cells := re.fullmatch(r"\| (.+) \| (.+) \| ([\d.]+) \| (.+) \|", line):
            fault, happens, seconds, left = cells.groups()
            found.append(Row(part, fault, happens, left, float(seconds)))
    return found


def render(rows: Iterable[Row], places: Mapping[str, Place]) -> str:
    """Render the page part by part, in the order of the tests."""
    by_key = {(row.part, row.fault): row for row in rows if row.fault in places}
    ordered = sorted(by_key.values(), key=lambda row: places[row.fault])
    page = ABOUT
    for part in PARTS:
        if here := [str(row) for row in ordered if row.part == part]:
            page += f"\n## {part}\n\n{COLUMNS}{''.join(here)}"
    return page


def check(rows: Iterable[Row], page: Path = PAGE) -> None:
    """Raise AssertionError for a row that is not on the page in the same words."""
    there, places = {row.words for row in rows_of(page.read_text())}, told_in()
    for row in rows:
        assert row.part in PARTS, f"{row.part!r} is none of {PARTS}"
        assert "|" not in "".join(row.words), f"a row of a table cannot hold |: {row}"
        assert row.fault in places, f"a test has to have its fault written out as one string: {row.fault!r}"
        assert row.words in there, f"docs/{page.name} does not have this row; run make faults: {row}"


def main() -> None:
    """Write the page."""
    before = rows_of(PAGE.read_text()) if PAGE.exists() else []
    places = told_in()
    page = render([*before, *recorded()], places)
    PAGE.write_text(page)
    for row in before:
        if row.fault not in places:
            click.echo(f"dropped, as no test has it: {row.part}: {row.fault}")
    click.echo(f"docs/faults.md has {len(rows_of(page))} rows, {len(recorded())} of them recorded here.")


if __name__ == "__main__":
    main()
