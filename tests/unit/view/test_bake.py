"""Results of a bake as text, at 80 columns and without colour, and as data."""

import json
from datetime import UTC, datetime

from dask_bake.bake.bake import BakeResult
from dask_bake.commands.bake import show
from dask_bake.environment.pip_lock import Package
from dask_bake.images.manifest import Manifest
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag, Verified
from dask_bake.view.terminal import Terminal
from rendering import a_console, written

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


def shown(result: BakeResult) -> str:
    out = a_console()
    show(result, Terminal(out), resolve_seconds=1.0, json_output=False)
    return written(out)


def test_a_bake_shows_the_image_and_the_time_of_each_phase() -> None:
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


def test_an_existing_image_is_one_line() -> None:
    assert shown(HIT) == ("ami-0123456789abcdef0 exists: Python 3.11.2, dask and distributed 2026.8.0\n")


def test_json_has_the_same_values(capsys) -> None:
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
