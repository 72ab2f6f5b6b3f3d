"""The user's conda settings for channels: .condarc files and ``CONDA_…`` variables.

Sources: conda's documentation, "Using the .condarc conda configuration file" and "Settings".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.text_files import parse_yaml, yaml_problem
from dask_bake.system import xdg

DEFAULT_CHANNEL = "conda-forge"
DEFAULTS = ("main", "r")
"""conda's ``defaults``: the channels of Anaconda, Inc."""

VARIABLES = {
    "CONDA_CHANNELS": "channels",
    "CONDA_CHANNEL_ALIAS": "channel_alias",
    "CONDA_CHANNEL_PRIORITY": "channel_priority",
    "CONDA_DEFAULT_CHANNELS": "default_channels",
    "CONDA_SSL_VERIFY": "ssl_verify",
}
SUBDIRS = re.compile(r"(?P<channel>.+)/(?P<subdir>noarch|(?:linux|osx|win)-[a-z0-9]+)")
"""A channel with the folder of one platform, as ``conda list --explicit`` writes it."""
LISTS = ("channels", "default_channels")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
MAPPINGS = ("custom_channels", "custom_multichannels", "mirrored_channels", "proxy_servers")
TEXTS = ("channel_alias",)
OF_TEXTS, OF_LISTS = ("custom_channels", "proxy_servers"), ("custom_multichannels", "mirrored_channels")


@dataclass(frozen=True)
class CondaSettings:
    """The user's conda settings, with conda's defaults."""

    channels: tuple[str, ...] = ()
    default_channels: tuple[str, ...] = DEFAULTS
    channel_alias: str = ""
    custom_channels: Mapping[str, str] = field(default_factory=dict)
    custom_multichannels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mirrored_channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    proxy_servers: Mapping[str, str] = field(default_factory=dict)
    channel_priority: str = "strict"
    ssl_verify: bool | str = True

    def locations(self, channels: Iterable[str]) -> tuple[str, ...]:
        """Return the channels as URLs, or as names below conda's default alias, without duplicates."""
        found = [place for channel in channels for place in self._expanded(channel)]
        return tuple(dict.fromkeys(found))

    def _expanded(self, channel: str, within: frozenset[str] = frozenset()) -> tuple[str, ...]:
        groups = {"defaults": self.default_channels, **self.custom_multichannels}
        if channel in within:
            return ()
        if channel in groups:
            deeper = within | {channel}
            return tuple(place for each in groups[channel] for place in self._expanded(each, deeper))
        return (self._location(channel),)

    def _location(self, channel: str) -> str:
        if "://" in channel or channel.startswith(("/", "./", "../", "~")):
            return channel.rstrip("/")
        first, _, rest = channel.partition("/")
        for name, tail in ((channel, ""), (first, rest)):
            if name in self.custom_channels:
                base = self.custom_channels[name].rstrip("/")
                return "/".join(part for part in (base, name, tail) if part)
        return f"{self.channel_alias.rstrip('/')}/{channel}" if self.channel_alias else channel


def is_anacondas(channel: str) -> bool:
    """Return whether a channel, by name or URL, is Anaconda's, which has terms of service."""
    return bool(re.fullmatch(r"(?:.*/)?(?:defaults|anaconda|main|r|msys2|pkgs/\w+)/?", channel))


def effective_channels(
    flags: Iterable[str], environment: Iterable[str], settings: CondaSettings, specs: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return ``--channel``, then the environment's channels, else conda's, else conda-forge.

    The channels that specs name, ``channel::package``, come last, as in conda.
    """
    named = [channel for channel in environment if channel != "nodefaults"]
    listed = [*flags, *(named or settings.channels)] or [DEFAULT_CHANNEL]
    return settings.locations(split_subdir(channel)[0] for channel in (*listed, *specs))


def split_subdir(channel: str) -> tuple[str, str]:
    """Return a channel and the platform's folder that is named with it, or an empty text."""
    found = SUBDIRS.fullmatch(channel.rstrip("/"))
    return (found["channel"], found["subdir"]) if found else (channel, "")


def expanded_channel(channel: str, environ: Mapping[str, str]) -> str:
    """Return a channel with its variables, such as ``$TOKEN``, replaced.

    Raises:
        UsageError: if a variable is not set.
    """
    if missing := [name for name in _variables(channel) if name not in environ]:
        raise UsageError(
            f"the channel {channel} needs {', '.join(missing)}, which is not set",
            hint=f"export {missing[0]}=…",
        )
    return str(_expanded(channel, environ))


def read_conda_settings(environ: Mapping[str, str]) -> CondaSettings:
    """Return the settings of all .condarc files and of the environment, which has precedence."""
    merged: dict[str, Any] = {}
    for path in condarc_paths(environ):
        merged = _merged(merged, _read(path))
    for variable, key in VARIABLES.items():
        if value := environ.get(variable):
            listed = [each.strip() for each in value.split(",") if each.strip()]
            merged[key] = listed if key in LISTS else value
    return _settings(_expanded(merged, environ))


def condarc_paths(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the paths where conda looks for settings, highest priority last."""
    home, places = xdg.home(environ), [Path("/etc/conda"), Path("/var/lib/conda")]
    places += [Path(environ["CONDA_ROOT"])] if environ.get("CONDA_ROOT") else []
    places += [xdg.config_home(environ) / "conda", home / ".config" / "conda", home / ".conda", home]
    places += [Path(environ["CONDA_PREFIX"])] if environ.get("CONDA_PREFIX") else []
    paths = [path for place in places for path in _in(place, home)]
    named = environ.get("CONDARC")
    return tuple(dict.fromkeys([*paths, *([Path(named).expanduser()] if named else [])]))


def _in(place: Path, home: Path) -> list[Path]:
    plain = [] if place == home else [place / "condarc"]
    return [*plain, place / ".condarc", *sorted(place.glob("condarc.d/*.y*ml"))]


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unusable(path, f"cannot be read: {yaml_problem(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _unusable(path, "holds no settings")
    for keys, kind in ((LISTS, list), (MAPPINGS, dict), (TEXTS, str)):
        for key in keys:
            if content.get(key) is not None and not isinstance(content[key], kind):
                raise _unusable(path, f"has {key}: {content[key]!r}")
    for keys, kind in ((OF_TEXTS, str), (OF_LISTS, list)):
        for key in keys:
            content[key] = {name: each for name, each in (content.get(key) or {}).items() if each is not None}
            if wrong := next((each for each in content[key].values() if not isinstance(each, kind)), None):
                raise _unusable(path, f"has {wrong!r} in {key}")
    return content


def _merged(weaker: dict[str, Any], stronger: dict[str, Any]) -> dict[str, Any]:
    """Merge settings as conda does: join mappings, prepend lists, replace other values."""
    merged = dict(weaker)
    for key, value in stronger.items():
        if value is None:
            continue
        if key in MAPPINGS:
            merged[key] = {**merged.get(key, {}), **value}
        elif key in LISTS:
            merged[key] = list(dict.fromkeys([*value, *merged.get(key, [])]))
        else:
            merged[key] = value
    return merged


def _expanded(value: Any, environ: Mapping[str, str]) -> Any:
    """Expand variables such as ``$TOKEN`` or ``${TOKEN}``, as conda does."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: environ.get(found[1] or found[2], found[0]), value)
    if isinstance(value, dict):
        return {key: _expanded(each, environ) for key, each in value.items()}
    return [_expanded(each, environ) for each in value] if isinstance(value, list) else value


def _variables(text: str) -> list[str]:
    return [braced or plain for braced, plain in VARIABLE.findall(text)]


def _settings(merged: Mapping[str, Any]) -> CondaSettings:
    given = {key: value for key, value in merged.items() if key in CondaSettings.__dataclass_fields__}
    for key in LISTS:
        if key in given:
            given[key] = tuple(map(str, given[key]))
    for key in OF_LISTS:
        if key in given:
            given[key] = {name: tuple(map(str, each)) for name, each in given[key].items()}
    if "channel_priority" in given:
        given["channel_priority"] = str(given["channel_priority"]).lower()
    given["ssl_verify"] = _verify(given.get("ssl_verify", True))
    return CondaSettings(**given)


def _verify(value: object) -> bool | str:
    """Return whether to verify certificates, or the file of trusted ones."""
    word = str(value).lower()
    # The system's certificates are always trusted.
    known = {"true": True, "truststore": True, "false": False}
    return known[word] if word in known else str(Path(str(value)).expanduser())


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(f"conda's settings {path} {why}", hint=f"correct or remove {path}")
