"""Build conda packages: from any files, from the Python that runs the tests, and from wheels."""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution
from io import BytesIO
from pathlib import Path
from typing import Any

from conda_package_streaming.create import conda_builder
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

LINUX = "linux-64"
PYTHON = "{}.{}".format(*sys.version_info)
STDLIB = f"lib/python{PYTHON}"
PLACEHOLDER = "/what/rattler/puts/the/prefix/for"
WHEN = 1_750_000_000

# Libraries of Debian 12 with its own Python: a module may be linked to these only.
LIBRARIES = {
    *("linux-vdso.so.1", "ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"),
    *("librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libcrypt.so.1", "libcrypto.so.3"),
    *("libssl.so.3", "libffi.so.8", "libsqlite3.so.0", "libbz2.so.1.0", "liblzma.so.5", "libreadline.so.8"),
    *("libz.so.1", "libexpat.so.1", "libuuid.so.1", "libncursesw.so.6", "libpanelw.so.6", "libtinfo.so.6"),
}
LEFT_OUT = {
    *("site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "__pycache__"),
    *("_bundled", "sitecustomize.py", "EXTERNALLY-MANAGED"),
}
# Debian's Python uses site-packages only in virtual environments; site is frozen into it, sysconfig is not.
DEBIAN_SITE = b"""import site, sys
site.addsitedir(f"{sys.prefix}/lib/python%d.%d/site-packages" % sys.version_info[:2])
"""
DEBIAN_SCHEME = (b"prefix_scheme = 'posix_local'", b"prefix_scheme = 'posix_prefix'")


@dataclass(frozen=True)
class File:
    """A file of a package; ``link`` is the target of a symbolic link."""

    data: bytes = b""
    executable: bool = False
    link: str = ""


def make_package(
    folder: Path,
    name: str,
    version: str,
    depends: Sequence[str] = (),
    files: Mapping[str, str | bytes | File] | None = None,
    *,
    subdir: str = "noarch",
    build_number: int = 0,
    constrains: Sequence[str] = (),
    **index: Any,
) -> Path:
    """Write a package of any files into the channel, which must be indexed afterwards."""
    contents = {path: _file(given) for path, given in (files or {}).items()}
    index = {"build": str(build_number), "noarch": "generic" if subdir == "noarch" else None, **index}
    index |= {"name": name, "version": version, "subdir": subdir, "build_number": build_number}
    index |= {"depends": list(depends), "constrains": list(constrains), "license": "LicenseRef-test"}
    return _write(folder, {**index, "timestamp": WHEN * 1000}, contents)


def make_python(folder: Path) -> Path:
    """Write the ``python`` package: the Python that runs the tests, relocatable to any prefix."""
    files, version = _python_files(), platform.python_version()
    needed = _glibc(files.values())
    return make_package(folder, "python", version, needed, files, subdir=LINUX, build="0_cpython")


def make_from_wheel(folder: Path, wheel: Path, extras: Iterable[str] = ()) -> Path:
    """Write a package of a wheel, noarch if it is pure Python, that depends on these extras' requirements."""
    name, version, _, tags = parse_wheel_filename(wheel.name)
    is_pure = all(tag.platform == "any" for tag in tags)
    info = distribution_of(wheel)
    scripts = {each.name: each.value.split("[")[0].strip() for each in _scripts(info)}
    with zipfile.ZipFile(wheel) as archive:
        files = dict(_wheel_files(archive, name, "site-packages" if is_pure else f"{STDLIB}/site-packages"))
    depends = [
        _depends(each) for each in requirements_of(info, extras) if canonicalize_name(each.name) != name
    ]
    if is_pure:
        python = f"python {_version_spec(SpecifierSet(info.metadata.get('Requires-Python') or ''))}".strip()
        entry_points = [f"{script} = {target}" for script, target in scripts.items()]
        link = {"noarch": {"type": "python", "entry_points": entry_points}, "package_metadata_version": 1}
        files["info/link.json"] = File(json.dumps(link).encode())
        return make_package(
            folder, name, str(version), [python, *depends], files, build="py_0", noarch="python"
        )
    python = f"python >={PYTHON},<3.{sys.version_info.minor + 1}.0a0"
    depends = [python, *_glibc(files.values()), *depends]
    files |= {f"bin/{script}": _script(target) for script, target in scripts.items()}
    build = f"py{PYTHON.replace('.', '')}_0"
    return make_package(folder, name, str(version), depends, files, subdir=LINUX, build=build)


def pip_wheel() -> Path:
    """Return the wheel of pip that Python bundles for ensurepip."""
    folders = [
        sysconfig.get_config_var("WHEEL_PKG_DIR"),
        Path(sysconfig.get_path("stdlib"), "ensurepip/_bundled"),
    ]
    return next(wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl"))


def _write(folder: Path, index: Mapping[str, Any], files: Mapping[str, File]) -> Path:
    stem = "-".join(index[part] for part in ("name", "version", "build"))
    target = folder / index["subdir"]
    target.mkdir(parents=True, exist_ok=True)
    paths = [_path_entry(path, file) for path, file in files.items() if not path.startswith("info/")]
    documents = {"index": index, "paths": {"paths": paths, "paths_version": 1}, "about": {"summary": stem}}
    written = {f"info/{name}.json": File(json.dumps(each).encode()) for name, each in documents.items()}
    with conda_builder(stem, target, compression_level=1, compression_threads=2) as archive:
        for path, file in {**written, **files}.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode, member.mtime = len(file.data), 0o755 if file.executable else 0o644, WHEN
            if file.link:
                member.type, member.linkname = tarfile.SYMTYPE, file.link
            archive.addfile(member, BytesIO(file.data))
    return target / f"{stem}.conda"


def _path_entry(path: str, file: File) -> dict[str, Any]:
    kind = {"path_type": "softlink" if file.link else "hardlink"}
    size = {"sha256": hashlib.sha256(file.data).hexdigest(), "size_in_bytes": len(file.data)}
    has_prefix = PLACEHOLDER.encode() in file.data
    prefix = {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"} if has_prefix else {}
    return {"_path": path, **kind, **size, **prefix}


def _file(given: str | bytes | File) -> File:
    match given:
        case File():
            return given
        case str():
            return File(given.encode(), executable=given.startswith("#!"))
        case bytes():
            return File(given)


def _python_files() -> dict[str, File]:
    program = Path(sys.base_prefix, "bin", f"python{PYTHON}").resolve()
    stdlib = Path(sysconfig.get_path("stdlib"))
    modules = [path for path in stdlib.rglob("*") if path.is_file() and _is_kept(path.relative_to(stdlib))]
    linked = _linked([program, *(path for path in modules if path.suffix == ".so")])
    files = {f"bin/python{PYTHON}": File(_relocatable(program.read_bytes()), executable=True)}
    files |= {f"bin/{name}": File(link=f"python{PYTHON}") for name in ("python", "python3")}
    shared = {name: path for name, path in linked[program].items() if name.startswith("libpython")}
    files |= {f"lib/{name}": File(Path(path).read_bytes(), executable=True) for name, path in shared.items()}
    allowed = LIBRARIES | set(shared)
    assert set(linked[program]) <= allowed, f"{program} is linked to more than Debian 12 has"
    for path in modules:
        if set(linked.get(path, ())) <= allowed:
            files[f"{STDLIB}/{path.relative_to(stdlib)}"] = File(path.read_bytes().replace(*DEBIAN_SCHEME))
    if "posix_local" in sysconfig.get_scheme_names():
        files[f"{STDLIB}/sitecustomize.py"] = File(DEBIAN_SITE)
    return {**files, f"{STDLIB}/site-packages/README.txt": File(b"Packages are installed here.\n")}


def _is_kept(path: Path) -> bool:
    return (
        not LEFT_OUT & set(path.parts) and not path.parts[0].startswith("config-") and path.suffix != ".pyc"
    )


def _relocatable(program: bytes) -> bytes:
    """Return the program with its library path relative to itself instead of to its old prefix."""
    old, new = f"{sys.base_prefix}/lib\0".encode(), b"$ORIGIN/../lib\0"
    return (
        program.replace(b"\0" + old, b"\0" + new.ljust(len(old), b"\0")) if len(new) <= len(old) else program
    )


def _linked(paths: Sequence[Path]) -> dict[Path, dict[str, str]]:
    """Return the shared libraries of each file, and their paths."""
    output = subprocess.run(["ldd", *map(str, paths)], capture_output=True, text=True, check=False).stdout
    parts = re.split(r"^(/.*):$", output, flags=re.MULTILINE)[1:]
    return {
        Path(path): {
            Path(name).name: where
            for name, where in re.findall(r"^\t(\S*\.so\S*)(?: => (/\S+|not))?", text, re.M)
        }
        for path, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _glibc(files: Iterable[File]) -> list[str]:
    """Return the dependency on glibc: the newest symbol version that the files use."""
    binaries = [file.data for file in files if file.data.startswith(b"\x7fELF")]
    minors = {int(minor) for data in binaries for minor in re.findall(rb"\0GLIBC_2\.(\d+)", data)}
    return [f"__glibc >=2.{max(minors)},<3.0.a0"] if minors else []


def distribution_of(wheel: Path) -> Distribution:
    folders = (each for each in zipfile.Path(wheel).iterdir() if each.name.endswith(".dist-info"))
    return PathDistribution(next(folders))  # type: ignore[arg-type]


def _scripts(info: Distribution) -> Iterator[Any]:
    for group in ("console_scripts", "gui_scripts"):
        yield from info.entry_points.select(group=group)


def requirements_of(info: Distribution, extras: Iterable[str]) -> list[Requirement]:
    """Return the requirements that apply to Linux and this Python."""
    target = {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
    }
    environments = [{**target, "extra": extra} for extra in {"", *extras}]
    return [
        each
        for each in map(Requirement, info.requires or ())
        if each.marker is None or any(each.marker.evaluate(environment) for environment in environments)
    ]


def _depends(requirement: Requirement) -> str:
    return f"{canonicalize_name(requirement.name)} {_version_spec(requirement.specifier)}".strip()


def _version_spec(specifiers: SpecifierSet) -> str:
    """Return conda's spelling of the specifiers; leave out ``===`` and local versions, which conda lacks."""
    usable = [each for each in specifiers if each.operator != "===" and "+" not in each.version]
    texts = [each.version if each.operator == "==" and "*" in each.version else str(each) for each in usable]
    return ",".join(sorted(texts))


def _wheel_files(archive: zipfile.ZipFile, name: str, packages: str) -> Iterator[tuple[str, File]]:
    """Yield every file of a wheel with its path in the package."""
    scripts = "python-scripts" if packages == "site-packages" else "bin"
    schemes = {"purelib": packages, "platlib": packages, "scripts": scripts, "data": "."}
    schemes["headers"] = f"include/python{PYTHON}/{name}"
    for member in archive.infolist():
        if member.is_dir():
            continue
        data, executable = archive.read(member), bool(member.external_attr >> 16 & 0o111)
        first, _, rest = member.filename.partition("/")
        home, path = packages, member.filename
        if first.endswith(".data"):
            scheme, _, path = rest.partition("/")
            home = schemes[scheme]
            if scheme == "scripts":
                executable, data = (
                    True,
                    re.sub(rb"\A#!pythonw?", f"#!{PLACEHOLDER}/bin/python".encode(), data),
                )
        elif first.endswith(".dist-info") and rest == "RECORD":
            data = data.rstrip() + f"\n{first}/INSTALLER,,\n".encode()
            yield f"{packages}/{first}/INSTALLER", File(b"conda\n")
        yield os.path.normpath(f"{home}/{path}"), File(data, executable)


def _script(target: str) -> File:
    module, _, function = target.partition(":")
    lines = (f"#!{PLACEHOLDER}/bin/python", "import sys", f"from {module} import {function.split('.')[0]}")
    return File("\n".join([*lines, f"sys.exit({function}())", ""]).encode(), executable=True)
