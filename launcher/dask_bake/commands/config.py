"""``dask-bake config``: the value and the source of each setting."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from dask_bake.bake.options import BakeOptions
from dask_bake.environment.options import FIELDS, EnvironmentOptions
from dask_bake.events import Note
from dask_bake.options.configuration import Configuration, find_setting
from dask_bake.options.launch import CloudOptions, LaunchOptions
from dask_bake.options.launch_table import Option
from dask_bake.options.settings_table import IMAGE_SECTION, SETTINGS
from dask_bake.options.values import default_name
from dask_bake.system.user import login_name
from dask_bake.view.layout import settings_table
from dask_bake.view.terminal import Terminal

DEFAULT = "default"
NAME = "name"


def run(configuration: Configuration, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Show all settings, or the value of one."""
    key = None if name is None else find_setting(name)
    document = config_document(configuration)
    if json_output:
        terminal.write_json(document if key is None else document[key])
    elif key is None:
        terminal.out.print(settings_table(rows(configuration)))
    else:
        value, source = {each: rest for each, *rest in rows(configuration)}[key]
        terminal.out.print(value, soft_wrap=True)
        terminal.notify(Note(f"from {source}"))
    return 0


def config_document(configuration: Configuration) -> dict[str, dict[str, Any]]:
    """Return the value and the source of every setting, for ``--json``."""
    return {
        key: {
            "value": _plain(configuration[key].value if is_given(key, configuration) else default(key)),
            "source": configuration[key].source if is_given(key, configuration) else DEFAULT,
        }
        for key in SETTINGS
    }


def rows(configuration: Configuration) -> Sequence[tuple[str, str, str]]:
    """Return key, value and source of every setting as text; for a default, the text of the help."""
    return [
        (key, shown(configuration[key].value), configuration[key].source)
        if is_given(key, configuration)
        else (key, default_text(key, option), DEFAULT)
        for key, option in SETTINGS.items()
    ]


def is_given(key: str, configuration: Configuration) -> bool:
    """Return whether the setting has a value in the configuration."""
    return key in configuration and configuration[key].value is not None


def default_text(key: str, option: Option) -> str:
    """Return the default as the help states it; the cluster's name as it is for this user."""
    stated = option.default if option.metavar and key != NAME else ""
    return stated or shown(default(key))


def default(key: str) -> Any:
    """Return the value of a setting that is not configured."""
    if key == NAME:
        return default_name(login_name())
    name = SETTINGS[key].name
    kinds: tuple[Any, ...] = (CloudOptions, LaunchOptions)
    if key.startswith(f"{IMAGE_SECTION}."):
        kinds, name = (EnvironmentOptions, BakeOptions), FIELDS.get(name, name)
    found = {field.name: field.default for kind in kinds for field in fields(kind)}
    return found[name]


def shown(value: object) -> str:
    """Return a value as text."""
    match value:
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{key}={each}" for key, each in value.items())
        case list() | tuple():
            return ", ".join(str(each) for each in value) or "none"
    return "none" if value in (None, "") else str(value)


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case Path():
            return str(value)
    return value
