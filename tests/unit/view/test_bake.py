"""What a bake looks like, at 80 columns, without colour, in a pipe."""

import json
from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from dask_bake.bake.bake import BakeResult
from dask_bake.commands.bake import show
from dask_bake.environment.pip_lock import Package
from dask_bake.events import Note, Output, PhaseEnded, PhaseStarted
from dask_bake.images.manifest import Manifest
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag, Verified
from dask_bake.view.progress import BakeProgress
from dask_bake.view.terminal import Terminal

IMAGE = Image(
    "ami-0123456789abcdef0",
    "dask-bake-0123456789ab",
    "available",
    datetime(2026, 1, 1, tzinfo=UTC),
    tags=(
        (Tag.BASE, "ami-base"),
        (Tag.BASE_NAME, "debian-12"),
        (Tag.VERIFIED, Verified.YES),
        (Tag.INSTALLER, "pip"),
        (Tag.DASK, "2026.8.0"),
        (Tag.DISTRIBUTED, "2026.8.0"),
    ),
)
PACKAGES = (Package("dask", "2026.8.0", "d" * 64), Package("pip", "26.3", "c" * 64))
PHASES = (("look up", 0.21), ("packages", 1.5), ("start instance", 2.0), ("install", 60.25))
MANIFEST = Manifest("0" * 64, "3.11.2", (), (), PACKAGES)
BUILT = BakeResult(IMAGE, True, MANIFEST, PHASES, 171_302_451)
HIT = BakeResult(IMAGE, False, MANIFEST, (("look up", 0.21),))


def console() -> Console:
    return Console(width=80, file=StringIO(), color_system=None, _environ={})


def shown(result: BakeResult) -> str:
    out = console()
    show(result, Terminal(out), resolve_seconds=1.0, json_output=False)
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


def test_a_bake_ends_with_what_it_made_and_where_the_time_went() -> None:
    assert (
        shown(BUILT)
        == """\
╭─ baked ───────────────────────────────────────────────────╮
│ image     ami-0123456789abcdef0                           │
│ name      dask-bake-0123456789ab                          │
│ base      ami-base debian-12                              │
│ contents  Python 3.11.2, dask and distributed 2026.8.0    │
│ packages  2, 171 MB, installed by pip                     │
│ verified  a head and a worker booted from it and computed │
│                                                           │
│ resolve          1.0 s                                    │
│ look up          0.2 s                                    │
│ packages         1.5 s                                    │
│ start instance   2.0 s                                    │
│ install         60.2 s                                    │
│ total           65.0 s                                    │
╰───────────────────────────────────────────────────────────╯
"""
    )


def test_a_hit_is_one_line() -> None:
    assert shown(HIT) == ("ami-0123456789abcdef0 exists: Python 3.11.2, dask and distributed 2026.8.0\n")


def test_json_has_the_same_facts(capsys) -> None:
    show(BUILT, Terminal(), resolve_seconds=1.0, json_output=True)
    assert json.loads(capsys.readouterr().out) == {
        "image": "ami-0123456789abcdef0",
        "name": "dask-bake-0123456789ab",
        "built": True,
        "digest": "0" * 64,
        "base": "ami-base",
        "installer": "pip",
        "verified": "yes",
        "python": "3.11.2",
        "packages": {"dask": "2026.8.0", "pip": "26.3"},
        "package_bytes": 171_302_451,
        "phases": [
            {"phase": "resolve", "seconds": 1.0},
            {"phase": "look up", "seconds": 0.21},
            {"phase": "packages", "seconds": 1.5},
            {"phase": "start instance", "seconds": 2.0},
            {"phase": "install", "seconds": 60.25},
        ],
        "seconds": 64.96,
    }


def test_a_pipe_gets_each_phase_as_a_plain_line_when_it_has_ended() -> None:
    out = console()
    with BakeProgress(out) as live:
        for event in (
            Note("No AWS credentials: [local] it is."),
            PhaseStarted("look up"),
            PhaseEnded("look up", 0.2),
            PhaseStarted("install"),
            Output("pip says [this]"),
            PhaseEnded("install", 61.25),
        ):
            live.notify(event)
    assert isinstance(out.file, StringIO)
    assert out.file.getvalue() == "No AWS credentials: [local] it is.\n  install                  61.2 s\n"


def test_a_note_stays_one_line_in_a_pipe() -> None:
    out, note = console(), "a note that is longer than the eighty columns that a pipe is taken for, " * 2
    with BakeProgress(out) as live:
        live.notify(Note(note))
    assert isinstance(out.file, StringIO)
    assert out.file.getvalue() == f"{note}\n"


def test_a_terminal_sees_the_phase_that_goes_on_and_its_last_line() -> None:
    out = Console(width=48, file=StringIO(), force_terminal=True, color_system=None, _environ={})
    with BakeProgress(out, clock=lambda: 1.0) as live:
        live.notify(PhaseStarted("install"))
        live.notify(Output("a line that says [more] than there is room for"))
        live.refresh()
    assert isinstance(out.file, StringIO)
    assert "install                   0.0 s  a line tha…" in out.file.getvalue()
