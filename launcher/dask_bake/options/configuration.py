"""What a user has configured, read as dask reads its own: files, then variables, below ``bake:``."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.launch_table import Option
from dask_bake.options.settings_table import IMAGE_SECTION, SETTINGS, SHORT_VARIABLES

SECTION = "bake"
OLD_SECTION = "dask-bake"
INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"
"""What Dask hands on to a child process; every other variable goes before it."""
VARIABLE = re.compile(rf"DASK_(?i:bake(__.*)?)|{INHERITED}")
"""What dask takes for settings below ``bake:``."""


@dataclass(frozen=True)
class Given:
    """A value that was configured.

    Args:
        value: as YAML or dask read it; ``None`` goes back to the default.
        source: the file's path, or the variable's name.
        told: how a complaint calls it.
    """

    value: object
    source: str
    told: str


Configuration = Mapping[str, Given]
"""What was configured, by the key of ``config_table.SETTINGS``; of several, what counts."""


def read_configuration(
    environ: Mapping[str, str] | None = None, paths: Sequence[str] | None = None
) -> Configuration:
    """The configuration of this process: the folders' files, and, before those, its variables.

    A file that cannot be opened is passed over, as dask does it.
    """
    variables = os.environ if environ is None else environ
    try:
        # dask reads all of its files as soon as it is imported.
        from dask import config as dask_config

        files = list(
            dask_config.collect_yaml(dask_config.paths if paths is None else paths, return_paths=True)
        )
        # One by one, as it is to be said which one holds what.
        read = [
            (name, dask_config.collect_env({name: value}))
            for name, value in sorted(variables.items(), key=lambda each: not each[0].startswith(INHERITED))
            if VARIABLE.fullmatch(name) and value
        ]
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"dask's configuration cannot be read: {' '.join(str(error).split())}",
            hint="mend it, or move it away",
        ) from error
    return merge(
        *(_of_file(path, document) for path, document in files),
        _of_short_variables(variables),
        *(parse_document(document, name) for name, document in read),
    )


def merge(*layers: Configuration) -> Configuration:
    """The layers as one: the later goes before the earlier, but the entries of mappings add up."""
    merged: dict[str, Given] = {}
    for layer in layers:
        for key, given in layer.items():
            before = merged.get(key)
            if before and isinstance(before.value, Mapping) and isinstance(given.value, Mapping):
                source = f"{before.source}, {given.source}"
                merged[key] = Given({**before.value, **given.value}, source, given.told)
            else:
                merged[key] = given
    return merged


def find_setting(name: str, told: str | None = None) -> str:
    """The key of the setting of that name, ``-`` and ``_`` being the same."""
    key = name.replace("_", "-")
    if key in SETTINGS:
        return key
    near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.75)
    raise UsageError(
        f"{told or repr(name)} is no setting of dask-bake",
        hint=f"there is {near[0]}; dask-bake config lists all" if near else "dask-bake config lists all",
    )


def _of_file(path: Path, document: Mapping[str, Any]) -> Configuration:
    for name in document:
        if str(name).replace("_", "-") == OLD_SECTION:
            raise UsageError(
                f"{path} has a section '{name}:', whose name is '{SECTION}:' now", hint=f"rename it in {path}"
            )
    return parse_document(document, str(path))


def _of_short_variables(variables: Mapping[str, str]) -> Configuration:
    found = {}
    for name, key in SHORT_VARIABLES.items():
        if value := variables.get(name):
            SETTINGS[key].parse(value, name)
            found[key] = Given(value, name, name)
    return found


def parse_document(document: Mapping[str, Any], source: str) -> Configuration:
    """What a document of that source has below ``bake:``, checked."""
    found = {}
    for name, value in _flat(document.get(SECTION), SECTION, source):
        # A variable's name says it all.
        told = source if source.upper().startswith("DASK_BAKE__") else f"{name} in {source}"
        key = find_setting(name, told)
        if value is not None:
            SETTINGS[key].parse(value, told)
        found[key] = Given(value, source, told)
    return found


def _flat(section: object, name: str, source: str) -> Iterator[tuple[str, object]]:
    if section is None:
        return
    if not isinstance(section, Mapping):
        raise UsageError(
            f"{name} in {source} is {section!r}, which should be settings with their values",
            hint="dask-bake config lists all",
        )
    for key, value in section.items():
        if name == SECTION and key == IMAGE_SECTION:
            for inner, each in _flat(value, f"{SECTION}.{IMAGE_SECTION}", source):
                yield f"{IMAGE_SECTION}.{inner}", each
        else:
            yield str(key), value


def resolve(
    options: Iterable[Option], flags: Mapping[str, Any], configuration: Configuration, *, section: str = ""
) -> dict[str, Any]:
    """Return the value of each option that was given: its flag, else its configured value."""
    values = {}
    for option in options:
        given = configuration.get(section + option.key)
        if flags.get(option.name) not in (None, ()):
            values[option.name] = option.parse(flags[option.name], option.flag)
        elif given is not None and given.value is not None:
            values[option.name] = option.parse(given.value, given.told)
    return values


@contextmanager
def sources_in_errors(
    options: Iterable[Option], flags: Mapping[str, Any], configuration: Configuration, *, section: str = ""
) -> Iterator[None]:
    """Add to each ``UsageError`` raised within where the options that it names were configured."""
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
