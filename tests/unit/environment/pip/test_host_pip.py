"""This machine's pip: what it resolves, and its errors."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dask_bake.environment.pip.host_pip import run_pip
from dask_bake.environment.pip.resolve import resolve
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError
from dask_bake.events import Event, Notify

QUIET: Notify = [].append


def no_pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
    raise AssertionError(arguments)


def test_packages_are_what_pip_resolved(tmp_path: Path) -> None:
    report = {
        "install": [
            {
                "metadata": {"name": name, "version": "1"},
                "download_info": {"archive_info": {"hashes": {"sha256": digest * 64}}},
            }
            for name, digest in [("Zict", "2"), ("importlib_metadata", "1")]
        ]
    }

    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        assert Path(arguments[-1].partition("=")[2]).read_text() == "dask[array]\npip\n"
        options = dict(each.split("=", 1) for each in arguments if "=" in each)
        assert Path(options["--constraint"]).read_text() == "numpy==2.1\n"
        Path(options["--report"]).write_text(json.dumps(report))

    target = Target(f"3.{sys.version_info.minor}.2", "x86_64")
    places = {"folder": tmp_path, "cache": tmp_path}
    found = resolve(
        ["dask[array]", "pip"], target, **places, notify=QUIET, constraints=["numpy==2.1"], pip=pip
    ).packages
    assert found == (Package("importlib-metadata", "1", "1" * 64), Package("zict", "1", "2" * 64))


def test_pip_cannot_resolve_for_another_python(tmp_path: Path) -> None:
    with pytest.raises(BakeError, match=r"a lock for Python 3\.9\.1 cannot be made by pip in Python 3\."):
        resolve([], Target("3.9.1", "x86_64"), folder=tmp_path, cache=tmp_path, notify=QUIET, pip=no_pip)


def test_the_error_has_pip_s_last_lines(tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(BakeError) as caught:
        run_pip(["download", "--no-index", f"--dest={tmp_path}", "no-such-project"], tmp_path, events.append)
    lines = caught.value.message.splitlines()
    assert lines[0] == "pip download failed:"
    assert lines[-1] == "  ERROR: No matching distribution found for no-such-project"
