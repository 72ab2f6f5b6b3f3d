"""Options of a launch, as the command line and Python give them; few imports, so that errors are fast."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dask_bake.options import parse
from dask_bake.options.configuration import read_configuration
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.settings_table import IMAGE_SECTION


def configured_options(flags: Mapping[str, Any]) -> LaunchOptions:
    """Return the options of a launch: flag, then configuration, then default.

    An image without a name is one of the environment that ``bake`` takes by the same configuration.
    """
    configured = read_configuration()
    options = parse.launch_options(flags, configured)
    if options.image_name is None and options.ami is None and f"{IMAGE_SECTION}.env" in configured:
        from dask_bake.environment.options import environment_options
        from dask_bake.environment.request import environment_name

        environment = environment_options({}, configured, lock=None)
        options = replace(options, image_name=environment_name(environment))
    return options
