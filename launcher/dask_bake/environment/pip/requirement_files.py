"""Inputs of a pip lock besides environment.yml: requirement files, options, and folders."""

import codecs
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dask_bake.environment.names import normalized_name
from dask_bake.errors import UsageError
from dask_bake.system.subprocesses import run_with_timeout

INCLUDE = re.compile(
    r"\s*(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>[^\s#][^#]*?)\s*(?:#.*)?"
)
OPTION = re.compile(
    r"\s*(?:-i|--index-url|--extra-index-url|-f|--find-links|--no-index|--trusted-host|--pre)\b.*"
)
FIND_LINKS = re.compile(r"\s*(?:-f|--find-links)(?:\s*=\s*|\s+)(?P<path>[^\s#]+)\s*(?:#.*)?")
NOT_SOURCES = {
    "__pycache__",
    ".git",
    "build",
    "dist",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
}
CREDENTIALS = re.compile(r"://([^/\s]+)@([^/\s@]+)/")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
EDITABLE = re.compile(r"\s*(?:-e|--editable)(?:\s*=\s*|\s+)(?P<place>\S.*)")
HASH = re.compile(r"--hash[=\s]sha256:([0-9a-f]{64})")
PROJECT = re.compile(r"\s*[A-Za-z0-9][\w.-]*")
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; PowerShell writes UTF-16."""
CODING = re.compile(rb"(?:[^\n]*\n)?#[^\n]*coding[:=]\s*([\w.-]+)")
LOCKS = ("pip.lock", "conda.lock")
SECONDS = 60.0
RELATIVE = "paths are relative to the folder of environment.yml, or of the file that has them"


def included_files(lines: Iterable[str], folder: Path) -> list[Path]:
    """Return the files that requirements include, directly or not.

    Raises:
        UsageError: if one of them cannot be read.
    """
    found: list[Path] = []
    _include(lines, folder, found)
    return found


def index_options(lines: Iterable[str], folder: Path) -> list[str]:
    """Return the lines that say which index is used, also those in included files."""
    lines = list(lines)
    found = [_absolute(line.strip(), folder) for line in lines if OPTION.fullmatch(line)]
    for path in included_files(lines, folder):
        found += [
            _absolute(line.strip(), path.parent)
            for line in _read(path).splitlines()
            if OPTION.fullmatch(line)
        ]
    return list(dict.fromkeys(found))


def for_resolvers(lines: Iterable[str], folder: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return lines of a requirements file as uv and pip both read them, and in any folder.

    Included requirements take the place of their lines: paths in them are relative to the first file's folder
    anyway. Variables are replaced as by pip, ``${NAME}``. Nothing is editable, as the image gets wheels.
    """
    return list(_flattened(lines, folder, environ, frozenset()))


def with_secrets(source: str, lines: Iterable[str]) -> str:
    """Return a source with the credentials that lines of requirements have for its host."""
    for line in lines:
        for secret, host in CREDENTIALS.findall(line):
            source = source.replace(f"://{host}/", f"://{secret}@{host}/")
    return source


def pinned_hashes(lines: Iterable[str], folder: Path) -> dict[str, set[str]]:
    """Return the SHA-256 hashes that requirements give, by project; also those of included files."""
    found: dict[str, set[str]] = {}
    lines = list(lines)
    for text in ("\n".join(lines), *map(_read, included_files(lines, folder))):
        for line in re.sub(r"\\\r?\n", " ", text).splitlines():
            hashes = HASH.findall(line)
            if hashes and (name := PROJECT.match(line)):
                found.setdefault(normalized_name(name[0].strip()), set()).update(hashes)
    return found


def digests(paths: Iterable[str], folder: Path) -> dict[str, str]:
    """Return the hash of each file or folder; empty for what is not there."""
    return {path: _digest(folder / path) for path in sorted(paths)}


def are_unchanged(inputs: Mapping[str, str], folder: Path) -> bool:
    """Return whether files and folders have the content that a lock was made from."""
    return digests(inputs, folder) == dict(inputs)


def _include(lines: Iterable[str], folder: Path, found: list[Path]) -> None:
    for line in lines:
        include = INCLUDE.fullmatch(line)
        if include is None or "://" in include["path"]:
            continue
        path = folder / include["path"]
        if path not in found:
            found.append(path)
            _include(_read(path).splitlines(), path.parent, found)


def _flattened(
    lines: Iterable[str], folder: Path, environ: Mapping[str, str], within: frozenset[Path]
) -> Iterator[str]:
    for line in lines:
        expanded = VARIABLE.sub(lambda found: environ.get(found[1], found[0]), line)
        include = INCLUDE.fullmatch(expanded)
        path = folder / include["path"] if include else folder
        if include and expanded.lstrip().startswith(("-r", "--r")) and "://" not in include["path"]:
            if path not in within:
                yield from _flattened(_read(path).splitlines(), path.parent, environ, within | {path})
        else:
            yield _not_editable(_absolute(expanded, folder))


def _not_editable(line: str) -> str:
    found = EDITABLE.fullmatch(line)
    if found is None:
        return line
    is_place = "://" in found["place"] or found["place"].startswith((".", "/"))
    return found["place"] if is_place else f"./{found['place']}"


def _absolute(line: str, folder: Path) -> str:
    """Return a line with its path made absolute, if it is an option that has one."""
    found = INCLUDE.fullmatch(line) or FIND_LINKS.fullmatch(line)
    path = found["path"] if found else ""
    if not path or "://" in path:
        return line
    if not (folder / path).exists():
        if FIND_LINKS.fullmatch(line):
            raise UsageError(f"--find-links {path} does not exist", hint=RELATIVE)
        return line
    return line.replace(path, str((folder / path).absolute()))


def _read(path: Path) -> str:
    try:
        return _decoded(path.read_bytes())
    except (UnicodeDecodeError, LookupError) as error:
        raise UsageError(
            f"the requirements {path} cannot be read: {error}",
            hint="save the file as UTF-8, or name its encoding in the first line: # coding: latin-1",
        ) from error
    except OSError as error:
        raise UsageError(
            f"the requirements {path} cannot be read: {error.strerror}", hint=f"-r and -c: {RELATIVE}"
        ) from error


def _decoded(content: bytes) -> str:
    """Return the text of a requirements file, in the encoding that pip would read it in."""
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "")
    if not encoding and (named := CODING.match(content)):
        encoding = named[1].decode()
    return content.decode(encoding or "utf-8")


def _digest(path: Path) -> str:
    if path.is_dir():
        return tree_digest(path)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def tree_digest(folder: Path) -> str:
    """Return a hash of a project's sources: what git knows or would add, else all files.

    Build products are left out, and locks, which are written after the hash.
    """
    total = hashlib.sha256()
    for path in sorted(filter(_is_source, set(_from_git(folder) or _walked(folder)))):
        file = folder / path
        if file.is_file():
            total.update(f"{path}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _is_source(path: str) -> bool:
    parts = path.split("/")
    is_built = any(part in NOT_SOURCES or part.endswith(".egg-info") for part in parts)
    return not is_built and not path.endswith((".pyc", ".pyo", *LOCKS))


def _from_git(folder: Path) -> list[str]:
    command = ["git", "-C", str(folder), "ls-files", "-zco", "--exclude-standard"]
    try:
        listed = run_with_timeout(command, SECONDS)
    except FileNotFoundError:
        return []
    return [] if listed.returncode else [name for name in listed.stdout.split("\0") if name]


def _walked(folder: Path) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_SOURCES]
        yield from (Path(where, name).relative_to(folder).as_posix() for name in files)
