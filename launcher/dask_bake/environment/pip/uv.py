"""Resolving by uv: for any Python and platform, with errors that name the conflict."""

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dask_bake.environment.names import normalized_name, without_secrets
from dask_bake.environment.pip.host_pip import TAIL, find_uv, full_disk, run_lines, user_settings
from dask_bake.environment.pip.requirement_files import index_options
from dask_bake.environment.pip.target import Target, version_of
from dask_bake.environment.proxies import proxy_of
from dask_bake.errors import BakeError
from dask_bake.events import Note, Notify

ARGUMENTS = (
    *("pip", "compile", "-", "--format=pylock.toml", "--no-header", "--no-annotate"),
    *("--no-python-downloads", "--no-progress", "--color=never"),
)
ABSENT = re.compile(
    r"Because (?:([\w.-]+)\S* was not found in "
    r"|there are no versions of ([\w.-]+)(?:\[\S*\])? and you require)"
)
NO_WHEEL = re.compile(
    r"(?:versions of |Because |because |and )([\w.-]+?)(?:[=<>!]=?\S+)? ha(?:s|ve) no usable wheels"
)
DIRECT_BUILD = re.compile(r"Building source distributions (?:for `([^`]+)` )?is disabled")
PLACE = re.compile(r" in `-`(?: at (?:position|line) \d+)?")
UNREACHABLE = re.compile(r"(?:Failed to fetch:|error sending request for url)\W*(?P<url>https?://[^\s`)]+)")
REPOSITORY = re.compile(r"git fetch [^`]*?'(?P<url>[\w+]+://[^']+)'")
GONE = re.compile(r"Distribution not found at: file:")
RETRY_LIMIT = 100
MOST_ABSENT = 40
"""Names after which uv is not asked for further ones, as it names one at a time."""


@dataclass(frozen=True)
class Found:
    """A package that uv selected.

    Args:
        sha256: of its wheel; empty where the index gives none, or where the wheel is to be built.
        source: what pip makes the wheel of, as a requirement or a path; empty for a wheel of the index.
    """

    name: str
    version: str
    sha256: str = ""
    source: str = ""


@dataclass
class Attempt:
    """Requirements, with what uv's errors have shown about them."""

    lines: list[str]
    flags: tuple[str, ...] = ()
    with_source: set[str] = field(default_factory=set)
    any_source: bool = False


def resolve_with_uv(
    requirements: Sequence[str], target: Target, folder: Path, notify: Notify, constraints: Path
) -> tuple[Found, ...]:
    """Resolve the lines of a requirements file, relative to a folder, and return the packages.

    A package without wheels is selected with its sources.

    Raises:
        BakeError: if nothing satisfies the requirements, with uv's explanation.
    """
    settings = user_settings()
    if settings.unknown_to_uv:
        keys = ", ".join(settings.unknown_to_uv)
        notify(Note(f"pip's settings {keys} are not used by uv; DASK_BAKE_RESOLVER=pip uses them."))
    pre = ("--prerelease=allow",) if "--pre" in index_options(requirements, folder) else ()
    flags = (*settings.uv_flags, *pre, f"--constraints={constraints}")
    environ, attempt = settings.for_uv(os.environ), Attempt(list(requirements), flags)
    for _ in range(RETRY_LIMIT):
        text, lines = _compile(attempt, target, folder, environ, notify)
        if text is not None:
            return tuple(_selected(item, target) for item in tomllib.loads(text).get("packages", []))
        if not _learn(attempt, lines):
            break
    raise _error(attempt, lines, target, folder, environ)


def _compile(
    attempt: Attempt, target: Target, folder: Path, environ: Mapping[str, str], notify: Notify, *more: str
) -> tuple[str | None, list[str]]:
    """Run uv and return its lock, or ``None``, and its lines."""
    uv = find_uv()
    if uv is None:
        raise BakeError("there is no uv on this machine", hint="pip install uv, or DASK_BAKE_RESOLVER=pip")
    sources = [f"--no-binary={name}" for name in sorted(attempt.with_source)]
    guard = [] if attempt.any_source else ["--only-binary=:all:", *sources]
    command = [uv, *ARGUMENTS, f"--python={sys.executable}", f"--python-version={target.python}"]
    with tempfile.TemporaryDirectory() as name:
        output = Path(name, "pylock.toml")
        code, lines = run_lines(
            [*command, f"--python-platform={target.uv_platform}", *guard, *attempt.flags, *more],
            environ,
            notify,
            within=folder,
            text="".join(f"{line}\n" for line in attempt.lines),
            output=output,
        )
        return (None if code else output.read_text(encoding="utf-8")), lines


def _learn(attempt: Attempt, lines: Sequence[str]) -> bool:
    """Allow the sources of what has no wheels; return whether there is something new to try."""
    text = "\n".join(lines)
    before = (len(attempt.with_source), attempt.any_source)
    attempt.with_source |= set(map(normalized_name, NO_WHEEL.findall(text)))
    direct = DIRECT_BUILD.findall(text)
    attempt.with_source |= set(map(normalized_name, filter(None, direct)))
    attempt.any_source |= "" in direct
    return (len(attempt.with_source), attempt.any_source) != before


def _selected(item: Mapping[str, Any], target: Target) -> Found:
    """Return a package of pylock.toml (PEP 751)."""
    name, version = normalized_name(item["name"]), str(item.get("version", ""))
    if vcs := item.get("vcs"):
        place = without_secrets(vcs.get("url") or Path(vcs["path"]).absolute().as_uri())
        tail = f"#subdirectory={vcs['subdirectory']}" if "subdirectory" in vcs else ""
        return Found(name, version, source=f"{name} @ {vcs['type']}+{place}@{vcs['commit-id']}{tail}")
    if directory := item.get("directory"):
        place = directory["path"]
        return Found(
            name, version, source=place if place == "." or Path(place).is_absolute() else f"./{place}"
        )
    if archive := item.get("archive"):
        place = archive.get("url") or archive["path"]
        path = place if Path(place).is_absolute() else f"./{place}"
        source = f"{name} @ {without_secrets(place)}" if "url" in archive else path
        file = _file_name(archive)
        if not file.endswith(".whl"):
            return Found(name, version, source=source)
        return Found(name, version_of(file), _sha256(archive), source)
    wheels = [(target.rank(_file_name(wheel)), wheel) for wheel in item.get("wheels", ())]
    fitting = [(rank, _file_name(wheel), wheel) for rank, wheel in wheels if rank is not None]
    if fitting:
        best = min(rank for rank, _, _ in fitting)
        wheel = max((file, wheel) for rank, file, wheel in fitting if rank == best)[1]
        return Found(name, version, _sha256(wheel))
    return Found(name, version, source=f"{name}=={version}")


def _file_name(archive: Mapping[str, Any]) -> str:
    place = archive.get("name") or urlsplit(archive.get("url", "")).path or archive.get("path", "")
    return unquote(str(place)).rpartition("/")[2]


def _sha256(archive: Mapping[str, Any]) -> str:
    return str(archive.get("hashes", {}).get("sha256", ""))


def _error(
    attempt: Attempt, lines: list[str], target: Target, folder: Path, environ: Mapping[str, str]
) -> Exception:
    """Return the error for uv's last lines."""
    text = "\n".join(lines)
    if full := full_disk(lines):
        return full
    if ABSENT.search(text) and (absent := _absent(attempt, lines, target, folder, environ)):
        more = " and perhaps others" if len(absent) >= MOST_ABSENT else ""
        return BakeError(
            f"pip's index does not have {', '.join(sorted(absent))}{more}",
            hint="--installer conda, if they are conda's; else check the names, and pip config list",
        )
    if unreachable := UNREACHABLE.search(text):
        place = without_secrets(unreachable["url"])
        why = re.sub(r" \(os error \d+\)$", "", lines[-1].strip().removeprefix("cause: "))
        is_index = not any(place in without_secrets(line) for line in attempt.lines)
        subject = "pip's index does not answer" if is_index else "no answer"
        return BakeError(
            f"{subject}{proxy_of(place, environ)}: {place}: {why}",
            hint="pip config list shows which index and which proxy pip's settings name",
        )
    if repository := REPOSITORY.search(text):
        why = next((line.strip() for line in lines if line.strip().startswith(("fatal:", "ssh:"))), "")
        return BakeError(
            f"the repository {repository['url']} cannot be fetched: {why or 'git failed'}",
            hint=f"git ls-remote {repository['url']} shows whether it is there and whether you can read it",
        )
    causes = [PLACE.sub("", re.sub(r"^(?:error:|  cause:) ", "  ", line)) for line in lines if line.strip()]
    first = next((at for at, line in enumerate(lines) if line.startswith("error:")), 0)
    return BakeError(
        "\n".join(["the environment cannot be resolved:", *causes[first:][-TAIL:]]), hint=_way_out(text)
    )


def _way_out(text: str) -> str:
    if "git+git@" in text:
        return "write git+ssh://git@HOST/PATH"
    if GONE.search(text):
        return "pip list --format=freeze gives the versions of packages that conda built, without paths"
    return "change what the environment asks for; DASK_BAKE_RESOLVER=pip asks pip instead of uv"


def _absent(
    attempt: Attempt, lines: list[str], target: Target, folder: Path, environ: Mapping[str, str]
) -> list[str]:
    """Return all requirements that no index has; uv names one of them."""
    found: list[str] = []
    trial = Attempt(list(attempt.lines), attempt.flags, set(attempt.with_source), attempt.any_source)
    for _ in range(min(len(attempt.lines), MOST_ABSENT)):
        pairs = ABSENT.findall("\n".join(lines))
        new = {normalized_name(one or other) for one, other in pairs} - set(found)
        if not new:
            break
        found += sorted(new)
        trial.lines = [line for line in trial.lines if _project(line) not in new]
        text, lines = _compile(trial, target, folder, environ, lambda _: None, "--no-deps")
        if text is not None:
            break
    return found


def _project(line: str) -> str:
    return normalized_name(re.split(r"[\s\[<>=!~;@(]", line, maxsplit=1)[0])
