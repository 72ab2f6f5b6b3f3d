"""A flag before the configuration, this before the default; and who is to blame for a wrong value."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.configuration import Configuration
from dask_bake.options.launch_table import Option


def chosen(
    options: Iterable[Option], flags: Mapping[str, Any], configuration: Configuration, *, section: str = ""
) -> dict[str, Any]:
    """The value of each option that was given: by a flag, else by the configuration."""
    values = {}
    for option in options:
        given = configuration.get(section + option.key)
        if flags.get(option.name) not in (None, ()):
            values[option.name] = option.parse(flags[option.name], option.flag)
        elif given is not None and given.value is not None:
            values[option.name] = option.parse(given.value, given.told)
    return values


@contextmanager
def blaming(
    options: Iterable[Option], flags: Mapping[str, Any], configuration: Configuration, *, section: str = ""
) -> Iterator[None]:
    """What is refused within, and calls an option by its flag, says where it was configured instead."""
    try:
        yield
    except UsageError as error:
        named = set(re.findall(r"--[a-z-]+", error.message))
        told = [
            f"{option.flag} is {given.told}"
            for option in options
            if option.flag in named
            and flags.get(option.name) in (None, ())
            and (given := configuration.get(section + option.key))
        ]
        if not told:
            raise
        raise UsageError(f"{error.message} ({', '.join(told)})", hint=error.hint) from error
