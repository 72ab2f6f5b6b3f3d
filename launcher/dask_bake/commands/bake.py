"""``dask-bake bake`` and ``lock``: build the bake's context from real clients, run it, show the result."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dask_bake.assets import is_installed, packer_directory
from dask_bake.bake.bake import BakeResult, bake
from dask_bake.bake.context import BakeContext
from dask_bake.bake.explain import Explanation, explain
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.packer.packer import find_packer
from dask_bake.bake.staging import default_base
from dask_bake.bake.verify import Verifier
from dask_bake.clouds import caller_address
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.images import Ec2Images, connect_images
from dask_bake.ec2.session import credentials_for_others
from dask_bake.environment.installers import Installer
from dask_bake.environment.options import EnvironmentOptions
from dask_bake.environment.request import Directories, Request, read_request
from dask_bake.environment.resolve import prepare
from dask_bake.events import Notify, phase_of
from dask_bake.models.cloud import Cloud
from dask_bake.models.debian import DebianRelease, minor
from dask_bake.system import xdg
from dask_bake.view.bake import (
    bake_document,
    closing_panel,
    explanation_document,
    explanation_view,
    hit_line,
)
from dask_bake.view.terminal import Terminal

RESOLVE = "resolve"
OpenCloud = Callable[[DebianRelease | None], tuple[Cloud, Ec2]]
"""Connects to the cloud, and has it provide the base image of that release."""


@dataclass(frozen=True)
class BakeCommand:
    """Options of ``dask-bake bake``."""

    environment: EnvironmentOptions
    options: BakeOptions
    explain: bool = False
    json_output: bool = False


def run(command: BakeCommand, terminal: Terminal, open_cloud: OpenCloud) -> int:
    """Bake the image, or explain what a bake would build; return the exit code.

    The environment is resolved first: one that cannot be resolved fails before any request to a cloud.
    """
    directories, began = directories_of(os.environ), time.monotonic()
    base = command.options.base
    with terminal.baking():
        _, installer = _prepare(
            command.environment,
            directories,
            terminal,
            keep=not command.explain,
            base=base if isinstance(base, DebianRelease) else None,
        )
    seconds = time.monotonic() - began
    options = replace(command.options, base=base or default_base(installer))
    cloud, ec2 = open_cloud(options.base if isinstance(options.base, DebianRelease) else None)
    images = connect_images(cloud, terminal.notify)
    context = _bake_context(cloud, ec2, images, installer, directories, terminal.notify)
    if command.explain:
        show_explanation(explain(options, context), terminal, json_output=command.json_output)
        return 0
    with terminal.baking():
        result = bake(options, context, notify=terminal.notify)
    show(result, terminal, resolve_seconds=seconds, json_output=command.json_output)
    return 0


def show(result: BakeResult, terminal: Terminal, *, resolve_seconds: float, json_output: bool) -> None:
    """Print the result of a bake."""
    phases = ((RESOLVE, resolve_seconds), *result.phases)
    if json_output:
        terminal.write_json(bake_document(result, phases))
    elif result.built:
        terminal.out.print(closing_panel(result, phases))
    else:
        terminal.out.print(hit_line(result), soft_wrap=True)


def show_explanation(explanation: Explanation, terminal: Terminal, *, json_output: bool) -> None:
    """Print what a bake would build."""
    if json_output:
        terminal.write_json(explanation_document(explanation))
    else:
        terminal.out.print(explanation_view(explanation))


def lock(environment: EnvironmentOptions, terminal: Terminal) -> int:
    """Resolve the environment and write its lock files; return the exit code."""
    with terminal.baking():
        request, installer = _prepare(environment, directories_of(os.environ), terminal, renew=True)
    for path in written(request, installer):
        terminal.out.print(f"{path} is up to date", soft_wrap=True)
    return 0


def written(request: Request, installer: Installer) -> list[Path]:
    """Return the installer's lock files."""
    names = {"pip": ("pip.lock",), "conda": ("conda.lock", "conda.pip.lock")}[installer.name]
    locks = request.locks_for(minor(installer.lock.python))
    return [path for path in map(locks.path, names) if path.exists()]


def directories_of(environ: Mapping[str, str]) -> Directories:
    """Return the folders of this machine, by the XDG base directory specification."""
    cache, state = xdg.cache_home(environ) / "dask-bake", xdg.state_home(environ) / "dask-bake"
    return Directories(packer_directory(), state, cache, is_installed())


def _bake_context(
    cloud: Cloud,
    ec2: Ec2,
    images: Ec2Images,
    installer: Installer,
    directories: Directories,
    notify: Notify,
) -> BakeContext:
    return BakeContext(
        cloud=cloud,
        ec2=ec2,
        images=images,
        find_builder=lambda: find_packer(
            log=directories.state / "bake.log", cache=directories.cache / "packer"
        ),
        verify=Verifier(cloud, ec2, lambda: caller_address(cloud), time.monotonic, time.sleep).verify,
        installer=installer,
        caller=lambda: caller_address(cloud, notify),
        credentials=lambda: credentials_for_others(cloud, notify),
        source=directories.source,
        cache=directories.cache,
    )


def _prepare(
    environment: EnvironmentOptions,
    directories: Directories,
    terminal: Terminal,
    *,
    renew: bool = False,
    keep: bool = True,
    base: DebianRelease | None = None,
) -> tuple[Request, Installer]:
    """Read the environment, and return it with an installer that has its lock."""
    request = read_request(
        environment, directories, notify=terminal.notify, renew=renew, keep=keep, base=base
    )
    with phase_of(RESOLVE, terminal.notify, time.monotonic):
        return request, prepare(request, notify=terminal.notify)
