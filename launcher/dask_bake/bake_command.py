"""The commands ``bake`` and ``lock``: the real edges are put together here, and what happens is printed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from dask_bake.assets import packer_directory
from dask_bake.bake import BakeResult, Ec2, Workshop, bake
from dask_bake.bake_plan import BakeOptions
from dask_bake.builder import find_packer
from dask_bake.clouds import caller_address
from dask_bake.errors import BakeError
from dask_bake.installers import PipInstaller
from dask_bake.models import Cloud
from dask_bake.view_bake import LiveBake, as_json, closing_panel, hit_line
from dask_bake.wheels import lock as resolve

# Debian 12's.
PYTHON = "3.11.2"
PLATFORM = "x86_64"


def run(*, cloud: Cloud, ec2: Ec2, console: Console, json_output: bool, force: bool) -> int:
    """The image is there and has been shown: the exit code."""
    cache = cache_folder(os.environ)
    workshop = Workshop(
        cloud=cloud,
        ec2=ec2,
        find_builder=lambda: find_packer(log=log_file(os.environ), cache=cache / "packer"),
        installer=PipInstaller(packer_directory(), cache / "wheels"),
        caller=lambda: caller_address(cloud),
        source=packer_directory(),
        cache=cache,
    )
    with LiveBake(Console(stderr=True)) as live:
        result = bake(BakeOptions(force=force), workshop, notify=live.notify)
    show(result, console, json_output=json_output)
    return 0


def show(result: BakeResult, console: Console, *, json_output: bool) -> None:
    """The result, for a person or for a program."""
    if json_output:
        console.file.write(json.dumps(as_json(result), indent=2) + "\n")
    else:
        console.print(closing_panel(result) if result.built else hit_line(result), soft_wrap=not result.built)


def lock(*, console: Console) -> int:
    """pip.lock is what environment.yml resolves to now: the exit code."""
    folder = packer_directory()
    with LiveBake(Console(stderr=True)) as live:
        text = resolve((folder / "environment.yml").read_bytes(), PYTHON, PLATFORM, notify=live.notify)
    path = folder / "pip.lock"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BakeError(f"{path} cannot be written: {error.strerror}", hint="lock in a checkout") from error
    console.print(f"{path} is up to date", markup=False, soft_wrap=True)
    return 0


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where what can be had again is kept."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dask-bake"


def log_file(environ: Mapping[str, str]) -> Path:
    """Where everything that Packer said during the last bake is."""
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dask-bake" / "bake.log"
