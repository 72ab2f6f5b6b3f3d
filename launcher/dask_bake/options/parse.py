"""Build options from flags and configuration, and check them."""

from collections.abc import Mapping
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.checks import check
from dask_bake.options.configuration import Configuration, resolve, sources_in_errors
from dask_bake.options.launch import CloudOptions, LaunchOptions
from dask_bake.options.launch_table import OPTIONS
from dask_bake.options.settings_table import CLOUD
from dask_bake.options.values import OF_A_BAKE, default_name
from dask_bake.system.user import login_name


def launch_options(flags: Mapping[str, Any], configuration: Configuration) -> LaunchOptions:
    """Return the checked options of a launch: flag, then configuration, then default."""
    values = {"name": default_name(login_name()), **resolve(OPTIONS, flags, configuration)}
    with sources_in_errors(OPTIONS, flags, configuration):
        options = checked(LaunchOptions(**values))
    if OF_A_BAKE.fullmatch(options.name):
        raise UsageError(
            f"--name {options.name}: such names are those of a bake's instances", hint="choose another name"
        )
    return options


def checked(options: LaunchOptions) -> LaunchOptions:
    """Return the options, or raise a ``UsageError`` for the first wrong one."""
    check(options)
    return options


def cloud_options(flags: Mapping[str, Any], configuration: Configuration) -> CloudOptions:
    """Return cloud, region and profile: flag, then configuration, then default."""
    return CloudOptions(**resolve(CLOUD, flags, configuration))
