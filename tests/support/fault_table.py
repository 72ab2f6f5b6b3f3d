"""``docs/faults.md``: what tests saw of the faults that they brought about, recorded and written down.

Each row is a file below ``build/faults``, so that processes do not get in each other's way, and a test that
runs again replaces its own. ``python -m fault_table`` writes the page: rows that were recorded here replace
those of the page, and a row that no test tells any more is left out.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/faults.md"
RECORDED = TESTS.parent / "build/faults"
PARTS = ("At launch", "At the end of a cluster", "In the launcher's process", "On a node", "At boot")
COLUMNS = "| fault | what happens | seconds | what is left |\n|---|---|---|---|\n"
ABOUT = """\
# Faults

Each row is a test that brings the fault about and holds what stands here. The test run makes the page:
`make test` records what it saw, `make faults` writes it down, and a test fails whose row is not here, word
for word.

Launches and ends of clusters were tried in a pretended cloud: the local cloud's EC2 without machines, where
requests are refused, or get lost, by rule. Nodes were real machines, booted by systemd-nspawn in the local
cloud from a baked image. The seconds are those of one run; where a launch pauses before it asks EC2 again,
they are of its own clock, and the pauses were pretended.
"""
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Row:
    """What a test saw."""

    part: str
    fault: str
    happens: str
    left: str
    seconds: float

    @property
    def words(self) -> tuple[str, ...]:
        """All that does not differ from run to run."""
        return (self.part, self.fault, self.happens, self.left)

    def __str__(self) -> str:
        seconds = f"{self.seconds:.1f}" if self.seconds < 9.95 else f"{self.seconds:.0f}"
        return f"| {self.fault} | {self.happens} | {seconds} | {self.left} |\n"


def store(row: Row, folder: Path = RECORDED) -> None:
    """Records the row in place of an earlier one of the same fault."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{row.part}\n{row.fault}".encode()).hexdigest()[:16]
    (folder / f"{name}.json").write_text(json.dumps(asdict(row)))


def recorded(folder: Path = RECORDED) -> list[Row]:
    """What the last runs saw."""
    return [Row(**json.loads(path.read_text())) for path in folder.glob("*.json")]


def told_in(folder: Path = TESTS) -> dict[str, Place]:
    """Every string that is written out in a test with ``fault_row``, and where."""
    found: dict[str, Place] = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "fault_row" in text else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                place = (str(path), node.lineno, node.col_offset)
                found[node.value] = min(place, found.get(node.value, place))
    return found


def rows_of(page: str) -> list[Row]:
    """The rows that the page has."""
    found, part = [], ""
    for line in page.splitlines():
        part = line.removeprefix("## ") if line.startswith("## ") else part
        if cells := re.fullmatch(r"\| (.+) \| (.+) \| ([\d.]+) \| (.+) \|", line):
            fault, happens, seconds, left = cells.groups()
            found.append(Row(part, fault, happens, left, float(seconds)))
    return found


def render(rows: Iterable[Row], places: Mapping[str, Place]) -> str:
    """The page: part by part, in the order in which the tests tell of it."""
    by_key = {(row.part, row.fault): row for row in rows if row.fault in places}
    ordered = sorted(by_key.values(), key=lambda row: places[row.fault])
    page = ABOUT
    for part in PARTS:
        if here := [str(row) for row in ordered if row.part == part]:
            page += f"\n## {part}\n\n{COLUMNS}{''.join(here)}"
    return page


def check(rows: Iterable[Row], page: Path = PAGE) -> None:
    """Fails for a row that the page does not have in the same words."""
    there, places = {row.words for row in rows_of(page.read_text())}, told_in()
    for row in rows:
        assert row.part in PARTS, f"{row.part!r} is none of {PARTS}"
        assert "|" not in "".join(row.words), f"a row of a table cannot hold |: {row}"
        assert row.fault in places, f"the words of a fault are written out in its test, whole: {row.fault!r}"
        assert row.words in there, f"docs/{page.name} does not have this row; run make faults: {row}"


def main() -> None:
    """Writes the page."""
    before = rows_of(PAGE.read_text()) if PAGE.exists() else []
    places = told_in()
    page = render([*before, *recorded()], places)
    PAGE.write_text(page)
    for row in before:
        if row.fault not in places:
            click.echo(f"no test tells of this any more: {row.part}: {row.fault}")
    click.echo(f"docs/faults.md has {len(rows_of(page))} rows, {len(recorded())} of them seen here.")


if __name__ == "__main__":
    main()
