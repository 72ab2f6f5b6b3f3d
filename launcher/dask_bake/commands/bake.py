"""The commands ``bake`` and ``lock``: the real edges are put together here, and what happens is printed."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from dask_bake.assets import is_installed, packer_directory
from dask_bake.bake.bake import BakeResult, bake
from dask_bake.bake.context import Workshop
from dask_bake.bake.explain import explain
from dask_bake.bake.packer.packer import find_packer
from dask_bake.bake.plan import BakeOptions
from dask_bake.bake.staging import default_base
from dask_bake.bake.verify import Prover
from dask_bake.clouds import caller_address, credentials_for_others
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.images import connect_images
from dask_bake.environment.installers import Installer
from dask_bake.environment.options import EnvironmentOptions
from dask_bake.environment.request import Places, Request, read_request
from dask_bake.environment.resolve import prepare
from dask_bake.events import Phases
from dask_bake.models.cloud import Cloud
from dask_bake.models.debian import DebianRelease, minor
from dask_bake.view.bake import (
    LiveBake,
    as_json,
    closing_panel,
    explanation_document,
    explanation_view,
    hit_line,
)
from dask_bake.view.terminal import Terminal

RESOLVE = "resolve"
OpenCloud = Callable[[DebianRelease | None], tuple[Terminal, Cloud, Ec2]]
"""Opens the cloud, which the base image of that release will be needed in."""


@dataclass(frozen=True)
class BakeCommand:
    """What was asked for on the command line."""

    environment: EnvironmentOptions
    options: BakeOptions
    explain: bool = False
    json_output: bool = False


def run(command: BakeCommand, open_cloud: OpenCloud) -> int:
    """The image is there and has been shown: the exit code.

    The environment comes first: one that cannot be resolved fails before a cloud is asked for anything.
    """
    places = places_of(os.environ)
    with LiveBake(Console(stderr=True)) as live:
        began = time.monotonic()
        named = command.options.base
        _, installer = _prepare(
            command.environment,
            places,
            live,
            keep=not command.explain,
            base=named if isinstance(named, DebianRelease) else None,
        )
        seconds = time.monotonic() - began
    base = command.options.base or default_base(installer)
    options = replace(command.options, base=base)
    terminal, cloud, ec2 = open_cloud(base if isinstance(base, DebianRelease) else None)
    images = connect_images(cloud, terminal.notify)
    workshop = Workshop(
        cloud=cloud,
        ec2=ec2,
        images=images,
        find_builder=lambda: find_packer(log=places.state / "bake.log", cache=places.cache / "packer"),
        prover=Prover(cloud, ec2, ec2, lambda: caller_address(cloud), time.monotonic, time.sleep),
        installer=installer,
        caller=lambda: caller_address(cloud),
        credentials=lambda: credentials_for_others(cloud),
        source=places.source,
        cache=places.cache,
    )
    if command.explain:
        explanation = explain(options, workshop, images)
        if command.json_output:
            terminal.write_json(json.dumps(explanation_document(explanation), indent=2))
        else:
            terminal.out.print(explanation_view(explanation))
        return 0
    with LiveBake(Console(stderr=True)) as live:
        result = bake(options, workshop, notify=live.notify)
    show(result, terminal.out, resolve_seconds=seconds, json_output=command.json_output)
    return 0


def show(result: BakeResult, console: Console, *, resolve_seconds: float, json_output: bool) -> None:
    """The result, for a person or for a program."""
    phases = ((RESOLVE, resolve_seconds), *result.phases)
    if json_output:
        console.file.write(json.dumps(as_json(result, phases), indent=2) + "\n")
    else:
        console.print(
            closing_panel(result, phases) if result.built else hit_line(result), soft_wrap=not result.built
        )


def lock(environment: EnvironmentOptions, *, console: Console) -> int:
    """The lock is what environment.yml resolves to now: the exit code."""
    places = places_of(os.environ)
    with LiveBake(Console(stderr=True)) as live:
        request, installer = _prepare(environment, places, live, renew=True)
    for path in written(request, installer):
        console.print(f"{path} is up to date", markup=False, soft_wrap=True)
    return 0


def written(request: Request, installer: Installer) -> list[Path]:
    """The files that the installer's locks are in."""
    names = {"pip": ("pip.lock",), "conda": ("conda.lock", "conda.pip.lock")}[installer.name]
    locks = request.locks_for(minor(installer.lock.python))
    return [path for path in map(locks.path, names) if path.exists()]


def places_of(environ: Mapping[str, str]) -> Places:
    """Where things are on this machine, as the XDG base directory specification has it."""
    cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dask-bake"
    state = Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dask-bake"
    return Places(packer_directory(), state, cache, is_installed())


def _prepare(
    environment: EnvironmentOptions,
    places: Places,
    live: LiveBake,
    *,
    renew: bool = False,
    keep: bool = True,
    base: DebianRelease | None = None,
) -> tuple[Request, Installer]:
    """What was asked for, and the installer with its lock."""
    request = read_request(environment, places, notify=live.notify, renew=renew, keep=keep, base=base)
    phases = Phases(live.notify, time.monotonic)
    phases.enter(RESOLVE)
    installer = prepare(request, notify=live.notify)
    phases.leave()
    return request, installer
