"""conda's specs, as rattler parses them, and their translation for pip (PEP 508)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import rattler
from rattler import exceptions
from rattler.version import VersionSpec

from dask_bake.environment.conda.condarc import CondaSettings, split_subdir
from dask_bake.environment.names import without_secrets
from dask_bake.errors import UsageError

ARCHIVES = (".conda", ".tar.bz2")
EXTRAS = re.compile(r"(?P<name>[^\[\s]+)\s*\[(?P<extras>[\w., -]*)\](?P<rest>.*)")
"""pip's brackets, which are none of conda's: these hold ``key=value``."""
CLAUSE = re.compile(r"(?P<operator>==|!=|>=|<=|~=|>|<)?(?P<version>[^=<>~|()\s]+)")
NUMBERS = re.compile(r"(?:\d+!)?\d+(?:\.\d+)*")
HINT = "name, name=1.2 or name>=1.2,<2"
PIP_HINT = "what pip installs is listed under pip:"


@dataclass(frozen=True)
class Spec:
    """One of conda's specs.

    Args:
        text: as it is written.
        match: as rattler takes it: without pip's extras, and with a package's URL taken apart.
        version: as rattler writes it; empty for any.
        build: the pattern of the build string, or other properties of a build; empty for any.
        channel: the channel that the spec names, as it is written; empty if it names none.
        extras: extras in pip's brackets, ``dask[complete]``.
    """

    text: str
    match: str
    name: str
    version: str = ""
    build: str = ""
    channel: str = ""
    extras: tuple[str, ...] = ()

    def located(self, settings: CondaSettings) -> str:
        """Return the spec for rattler, with the location that the user's settings give its channel."""
        if "::" not in self.match:
            return self.match
        channel, subdir = split_subdir(self.channel)
        place = "/".join(filter(None, (settings.locations([channel])[0], subdir)))
        return f"{place}::{self.match.rpartition('::')[2]}"


@lru_cache(maxsize=4096)
def parse_spec(text: str) -> Spec:
    """Parse a conda spec."""
    bare, extras = _without_extras(text)
    given = _taken_apart(bare) if "://" in bare.rpartition("::")[2] else bare
    match = match_spec(given)
    version = "" if match.version in (None, "*") else str(match.version)
    build = "" if match.build in (None, "*") else str(match.build)
    properties = (match.build_number, match.md5, match.sha256, match.condition, match.file_name)
    build = build or next((str(each) for each in properties if each), "")
    extras = extras or tuple(match.extras or ())
    channel = given.rpartition("::")[0] if "::" in given else match.channel.base_url if match.channel else ""
    return Spec(text, given, match.name.normalized, version, build, channel.strip(), extras)


def match_spec(text: str) -> rattler.MatchSpec:
    """Return rattler's spec."""
    try:
        return rattler.MatchSpec(text)
    except exceptions.InvalidMatchSpecError as error:
        why = str(error).splitlines()[0]
        hint = PIP_HINT if text.startswith(("-", ".", "/", "git+")) else HINT
        raise UsageError(f"{without_secrets(text)!r} is not a conda spec: {why}", hint=hint) from error


def allows(spec: str, versions: list[str]) -> bool:
    """Return whether one of the versions satisfies the spec."""
    wanted = parse_spec(spec).version
    return not wanted or any(VersionSpec(wanted).matches(rattler.Version(each)) for each in versions)


def pip_version(version: str) -> str | None:
    """Return a version of rattler's as pip writes it (PEP 440); ``None`` if pip has no words for it."""
    clauses = [CLAUSE.fullmatch(clause) for clause in version.split(",") if clause not in ("", "*")]
    if "|" in version or "(" in version or None in clauses:
        return None
    return ",".join(_clause(clause["operator"] or "==", clause["version"]) for clause in clauses if clause)


def _clause(operator: str, version: str) -> str:
    base = version.removesuffix(".*")
    if base != version and not NUMBERS.fullmatch(base):
        version = base  # a pre-release has no versions below it
    if operator == "~=" and "." not in version:
        operator = ">="
    return f"{operator}{version}"


def _without_extras(text: str) -> tuple[str, tuple[str, ...]]:
    found = EXTRAS.fullmatch(text.strip())
    if found is None:
        return text.strip(), ()
    extras = tuple(filter(None, re.split(r"[,\s]+", found["extras"])))
    return f"{found['name']}{found['rest']}", extras


def _taken_apart(url: str) -> str:
    """Return the spec of the package at that URL; rattler could not write its record into a lock."""
    place, _, digest = url.partition("#")
    folder, _, file = place.rpartition("/")
    channel, _, subdir = folder.rpartition("/")
    suffix = next((each for each in ARCHIVES if file.endswith(each)), None)
    parts = file.removesuffix(suffix or "").rsplit("-", 2)
    if suffix is None or len(parts) != 3 or not urlsplit(channel).scheme:
        raise UsageError(
            f"{without_secrets(url)} is not the address of a conda package",
            hint=PIP_HINT
            if url.startswith("git+")
            else "it ends in CHANNEL/SUBDIR/NAME-VERSION-BUILD.conda, or .tar.bz2",
        )
    name, version, build = parts
    kind, _, value = digest.rpartition(":")
    checked = f", {kind or 'md5'}={value}" if value else ""
    return f"{channel}::{name}[version='=={version}', build='{build}', subdir={subdir}{checked}]"
