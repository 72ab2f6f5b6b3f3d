"""Read the section ``bake:`` of Dask's configuration, and resolve options against it.

Precedence, lowest first: default, files in the order in which Dask reads them, variables, flag.
"""

import difflib
import os
import re
import site
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.launch_table import Option
from dask_bake.options.settings_table import IMAGE_SECTION, SETTINGS, SHORT_VARIABLES
from dask_bake.options.text_files import keys_that_are_no_text, parse_settings
from dask_bake.options.values import boolean

SECTION = "bake"
OLD_SECTION = "dask-bake"
INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"
"""Variable by which Dask passes its configuration to child processes; all other variables override it."""
VARIABLE = re.compile(rf"DASK_(?i:bake(__.*)?)|{INHERITED}")
"""Variables that Dask reads as settings below ``bake:``."""
CONTENT = re.compile(rb"^[ \t]*[^\s#]", re.MULTILINE)
"""The beginning of a line of YAML that is no comment."""
YAML_SUFFIXES = (".json", ".yaml", ".yml")
FILE_HINT = "correct the file, or move it away"
LIST_HINT = "dask-bake config lists all settings"


@dataclass(frozen=True)
class ConfiguredValue:
    """A value from a file or a variable.

    Args:
        value: as YAML or Dask parsed it; ``None`` restores the default.
        source: path of the file, or name of the variable.
        label: name of the setting in error messages.
    """

    value: object
    source: str
    label: str


Configuration = Mapping[str, ConfiguredValue]
"""The effective configured value of each key of ``settings_table.SETTINGS``."""


def read_configuration(
    environ: Mapping[str, str] | None = None, paths: Sequence[str] | None = None
) -> Configuration:
    """Return the configuration of this process, from Dask's files and from variables.

    A file that cannot be opened is ignored, as Dask ignores it.
    """
    variables = os.environ if environ is None else environ
    if not _is_configured(variables, paths):
        return merge(_parse_short_variables(variables))
    try:
        # Importing dask.config reads all files, so the import can fail as well.
        from dask import config as dask_config

        found = dask_config.collect_yaml(dask_config.paths if paths is None else paths, return_paths=True)
        files = [path for path, _ in found]
        # One variable at a time: error messages name the one that is wrong.
        documents = [
            (name, dask_config.collect_env({name: _as_written(value, dask_config.interpret_value(value))}))
            for name, value in sorted(variables.items(), key=lambda each: not each[0].startswith(INHERITED))
            if VARIABLE.fullmatch(name) and value
        ]
    except (ValueError, TypeError) as error:
        raise _unreadable(error, variables, paths) from error
    return merge(
        *(_parse_file(path, _read_settings(path)) for path in files),
        _parse_short_variables(variables),
        *(parse_document(document, name) for name, document in documents),
    )


def _is_configured(variables: Mapping[str, str], paths: Sequence[str] | None) -> bool:
    """Return whether there is anything to read with ``dask.config``, whose import takes a fifth of a second.

    The files that Dask itself puts into ``~/.config/dask`` are comments.
    """
    if any(value and VARIABLE.fullmatch(name) for name, value in variables.items()):
        return True
    files = _yaml_files(_dask_paths(variables) if paths is None else paths)
    try:
        return any(CONTENT.search(path.read_bytes()) for path in files)
    except OSError:
        return True


def _as_written(value: str, interpreted: object) -> str:
    """Return the variable's value, as a string literal where Dask would make 1.1 of 1.10."""
    is_number = isinstance(interpreted, int | float | complex) and not isinstance(interpreted, bool)
    return repr(value) if is_number and str(interpreted) != value else value


def _read_settings(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        return parse_settings(path.read_bytes()) or {}
    except OSError:
        return {}
    except yaml.YAMLError as error:
        raise UsageError(f"cannot read {path}: {' '.join(str(error).split())}", hint=FILE_HINT) from error


def _unreadable(error: Exception, variables: Mapping[str, str], paths: Sequence[str] | None) -> UsageError:
    """Return the error for files that Dask cannot read, with the file and key if Dask does not name them."""
    import yaml

    for path in _yaml_files(_dask_paths(variables) if paths is None else paths):
        try:
            for key, line in keys_that_are_no_text(path.read_bytes()):
                return UsageError(
                    f"cannot read Dask's configuration: in {path}, line {line}, the key {key} is not text",
                    hint=f"put it in quotes: '{key}'",
                )
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            continue
    return UsageError(f"cannot read Dask's configuration: {' '.join(str(error).split())}", hint=FILE_HINT)


def _dask_paths(variables: Mapping[str, str]) -> Sequence[str]:
    """Return where Dask looks for files; dask.config cannot be imported if it cannot read one of them."""
    prefixes = (Path(prefix, "etc", "dask") for prefix in (sys.prefix, *site.PREFIXES))
    own = variables.get("DASK_CONFIG")
    return [
        variables.get("DASK_ROOT_CONFIG", "/etc/dask"),
        *map(str, prefixes),
        str(Path("~/.config/dask").expanduser()),
        *([own] if own else []),
    ]


def _yaml_files(paths: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from (each for each in sorted(path.iterdir()) if each.suffix.lower() in YAML_SUFFIXES)
        elif path.exists():
            yield path


def merge(*layers: Configuration) -> Configuration:
    """Merge the layers: later values override earlier ones, entries of mappings are combined."""
    merged: dict[str, ConfiguredValue] = {}
    for layer in layers:
        for key, new in layer.items():
            old = merged.get(key)
            if old and isinstance(old.value, Mapping) and isinstance(new.value, Mapping):
                source = f"{old.source}, {new.source}"
                merged[key] = ConfiguredValue({**old.value, **new.value}, source, new.label)
            else:
                merged[key] = new
    return merged


def find_setting(name: str, label: str | None = None) -> str:
    """Return the key of the setting with this name; ``-`` and ``_`` are equivalent."""
    key = name.replace("_", "-")
    if key in SETTINGS:
        return key
    similar = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.75)
    raise UsageError(
        f"{label or repr(name)} is not a setting of dask-bake",
        hint=f"did you mean {similar[0]}? {LIST_HINT}" if similar else LIST_HINT,
    )


def parse_document(document: Mapping[str, Any], source: str) -> Configuration:
    """Return the checked settings in the section ``bake:`` of a document."""
    found = {}
    for name, value in _flatten(document.get(SECTION), SECTION, source):
        # The name of a variable already contains the name of the setting.
        label = source if source.upper().startswith("DASK_BAKE__") else f"{name} in {source}"
        key = find_setting(name, label)
        if value is not None:
            parsed = SETTINGS[key].parse(value, label)
            value = parsed if SETTINGS[key].parse is boolean else value
        found[key] = ConfiguredValue(value, source, label)
    return found


def resolve(
    options: Iterable[Option], flags: Mapping[str, Any], configuration: Configuration, *, section: str = ""
) -> dict[str, Any]:
    """Return the parsed value of each option that was given: its flag, else its configured value."""
    values = {}
    for option in options:
        configured = configuration.get(section + option.key)
        if _is_given(flags, option):
            values[option.name] = option.parse(flags[option.name], option.flag)
        elif configured is not None and configured.value is not None:
            values[option.name] = option.parse(configured.value, configured.label)
    return values


@contextmanager
def sources_in_errors(
    options: Iterable[Option], flags: Mapping[str, Any], configuration: Configuration, *, section: str = ""
) -> Iterator[None]:
    """Add to a ``UsageError`` raised inside where the options that it names were configured."""
    try:
        yield
    except UsageError as error:
        named = set(re.findall(r"--[a-z-]+", error.message))
        sources = [
            f"{option.flag} is {configured.label}"
            for option in options
            if option.flag in named
            and not _is_given(flags, option)
            and (configured := configuration.get(section + option.key))
        ]
        if not sources:
            raise
        raise UsageError(f"{error.message} ({', '.join(sources)})", hint=error.hint) from error


def _is_given(flags: Mapping[str, Any], option: Option) -> bool:
    return flags.get(option.name) not in (None, ())


def _parse_file(path: Path, document: Mapping[str, Any]) -> Configuration:
    for name in document:
        if str(name).replace("_", "-") == OLD_SECTION:
            raise UsageError(
                f"{path} has a section '{name}:', which is now named '{SECTION}:'",
                hint=f"rename it in {path}",
            )
    return parse_document(document, str(path))


def _parse_short_variables(variables: Mapping[str, str]) -> Configuration:
    found = {}
    for name, key in SHORT_VARIABLES.items():
        if value := variables.get(name):
            SETTINGS[key].parse(value, name)
            found[key] = ConfiguredValue(value, name, name)
    return found


def _flatten(section: object, name: str, source: str) -> Iterator[tuple[str, object]]:
    if section is None:
        return
    if not isinstance(section, Mapping):
        raise UsageError(f"{name} in {source} must be a mapping of settings, not {section!r}", hint=LIST_HINT)
    for key, value in section.items():
        if name == SECTION and key == IMAGE_SECTION:
            for inner, each in _flatten(value, f"{SECTION}.{IMAGE_SECTION}", source):
                yield f"{IMAGE_SECTION}.{inner}", each
        else:
            yield str(key), value
