"""The conda channel that tests are given: rattler solves against it, and what it installs from it works."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from rattler import Client, Gateway, RepoDataRecord, VirtualPackage, install, solve
from rattler.exceptions import GatewayError, InstallerError, SolverError

from conda_channel import (
    PYTHON,
    build_channel,
    index_channel,
    make_from_wheel,
    make_package,
    pip_wheel,
    serve,
    small_channel,
)

HERE = Path(__file__).parents[1]
DEBIANS = Path(f"/usr/bin/python{PYTHON}")
PYTHONS = [sys.executable, *([str(DEBIANS)] if DEBIANS.exists() else [])]


@pytest.fixture(scope="module")
def small(request: pytest.FixtureRequest) -> Path:
    """Python, pip and Dask, kept between runs; the first run has pip download wheels."""
    return small_channel(request.config.cache.mkdir("conda-channel"))


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    """Two versions of a package, of which the newer one needs what there is not."""
    channel = tmp_path / "channel"
    make_package(channel, "a", "1.0", ["b >=1"], {"share/a": "one"})
    make_package(channel, "a", "2.0", ["b >=2"], {"share/a": "two"})
    make_package(channel, "b", "1.5", files={"bin/b": "#!/bin/sh\n"}, subdir="linux-64")
    index_channel(channel)
    return channel


def solved(url: str, specs: Sequence[str], cache: Path, client: Client | None = None) -> list[RepoDataRecord]:
    gateway = Gateway(cache_dir=cache / "repodata", client=client)
    detected = VirtualPackage.detect()
    wanted = solve([url], specs, gateway=gateway, platforms=["linux-64", "noarch"], virtual_packages=detected)
    return asyncio.run(wanted)


def installed(records: list[RepoDataRecord], home: Path) -> Path:
    """A prefix that holds the packages."""
    asyncio.run(install(records, home / "prefix", cache_dir=home / "packages", show_progress=False))
    return home / "prefix"


def said(prefix: Path, *words: str) -> str:
    """What a program of the prefix says, in an environment that leads nowhere else."""
    path = f"{prefix}/bin:/usr/bin:/bin"
    command = [str(prefix / "bin" / words[0]), *words[1:]]
    done = subprocess.run(
        command, env={"PATH": path}, cwd=prefix, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_rattler_solves_against_it_and_installs_from_it(synthetic: Path, tmp_path: Path) -> None:
    with serve(synthetic) as channel:
        records = solved(channel.url, ["a"], tmp_path)
        prefix = installed(records, tmp_path)
        assert "/linux-64/b-1.5-0.conda" in channel.requests
    assert sorted((each.name.source, str(each.version), each.subdir) for each in records) == [
        ("a", "1.0", "noarch"),
        ("b", "1.5", "linux-64"),
    ]
    assert (prefix / "share" / "a").read_text() == "one"
    assert os.access(prefix / "bin" / "b", os.X_OK)


def test_what_cannot_be_solved_is_explained(synthetic: Path, tmp_path: Path) -> None:
    with serve(synthetic) as channel, pytest.raises(SolverError, match="b >=2, for which no candidates"):
        solved(channel.url, ["a 2.*"], tmp_path)


def test_a_password_is_asked_for(synthetic: Path, tmp_path: Path) -> None:
    with serve(synthetic, username="me", password="sesame") as channel:
        with pytest.raises(GatewayError, match="401 Unauthorized"):
            solved(channel.url, ["b"], tmp_path)
        (record,) = solved(channel.url.replace("//", "//me:sesame@"), ["b"], tmp_path)
    assert record.file_name == "b-1.5-0.conda"


def test_it_can_be_unavailable_or_not_answer(synthetic: Path, tmp_path: Path) -> None:
    hasty = Client.default_client(max_retries=0, timeout=1)
    with serve(synthetic) as channel:
        channel.unavailable = True
        with pytest.raises(GatewayError, match="503 Service Unavailable"):
            solved(channel.url, ["b"], tmp_path, hasty)
        channel.hanging = True
        with pytest.raises(GatewayError, match="timed out"):
            solved(channel.url, ["b"], tmp_path, hasty)


@pytest.mark.parametrize("damage", ["truncated", "corrupt"])
def test_a_file_can_be_damaged_on_its_way(damage: str, synthetic: Path, tmp_path: Path) -> None:
    with serve(synthetic) as channel:
        records = solved(channel.url, ["b"], tmp_path)
        getattr(channel, damage).add("b-1.5-0.conda")
        with pytest.raises(InstallerError, match=r"failed to fetch b-1\.5-0\.conda"):
            installed(records, tmp_path)


def test_every_file_of_a_wheel_finds_its_place(tmp_path: Path) -> None:
    wheel = tmp_path / "Some_Thing-1.0-cp311-abi3-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("some_thing.py", "def main(): print('some')\n")
        archive.writestr("some_thing-1.0.data/scripts/run", "#!python\nprint('run')\n")
        archive.writestr("some_thing-1.0.data/data/share/thing", "shared")
        archive.writestr("some_thing-1.0.data/purelib/pure.py", "")
        required = ("Other.One[extra]>=1.2,!=1.3.*", "two~=2.1; extra == 'x'", "no; sys_platform == 'win32'")
        metadata = "".join(f"Requires-Dist: {each}\n" for each in required)
        archive.writestr("some_thing-1.0.dist-info/METADATA", f"Name: Some-Thing\nVersion: 1.0\n{metadata}")
        archive.writestr(
            "some_thing-1.0.dist-info/entry_points.txt", "[console_scripts]\nsay = some_thing:main\n"
        )
        archive.writestr("some_thing-1.0.dist-info/RECORD", "some_thing-1.0.dist-info/RECORD,,\n")
    channel = tmp_path / "channel"
    make_from_wheel(channel, wheel, extras=["x"])
    for name, version in (("python", f"{PYTHON}.0"), ("other-one", "1.2"), ("two", "2.2")):
        make_package(channel, name, version)
    index_channel(channel)
    record = next(
        each for each in solved(channel.as_uri(), ["some-thing"], tmp_path) if each.subdir == "linux-64"
    )
    assert record.depends[1:] == ["other-one !=1.3.*,>=1.2", "two ~=2.1"]
    prefix = installed([record], tmp_path)
    packages = f"lib/python{PYTHON}/site-packages"
    assert {str(each.relative_to(prefix)) for each in prefix.rglob("*") if each.is_file()} >= {
        "bin/run",
        "bin/say",
        "share/thing",
        f"{packages}/pure.py",
        f"{packages}/some_thing.py",
        *(
            f"{packages}/some_thing-1.0.dist-info/{name}"
            for name in ("METADATA", "RECORD", "entry_points.txt")
        ),
    }
    assert (prefix / packages / "some_thing-1.0.dist-info" / "INSTALLER").read_text() == "conda\n"
    assert (prefix / "bin" / "run").read_text().startswith(f"#!{prefix}/bin/python\n")


@pytest.mark.parametrize("python", PYTHONS)
def test_a_python_works_from_another_prefix(python: str, tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    program = "import sys, pathlib, conda_channel; conda_channel.make_python(pathlib.Path(sys.argv[1]))"
    paths = os.pathsep.join([str(HERE), sysconfig.get_path("purelib")])
    subprocess.run([python, "-c", program, channel], env={**os.environ, "PYTHONPATH": paths}, check=True)
    make_from_wheel(channel, pip_wheel())
    index_channel(channel)
    prefix = installed(solved(channel.as_uri(), ["pip"], tmp_path), tmp_path)
    packages = f"{prefix}/lib/python{PYTHON}/site-packages"
    asked = "import ssl, sqlite3, ctypes, lzma, bz2, zlib, sys, sysconfig, pip"
    told = said(
        prefix, "python", "-c", f"{asked}; print(sys.prefix, sysconfig.get_path('purelib'), pip.__path__[0])"
    )
    assert told == f"{prefix} {packages} {packages}/pip"
    assert said(prefix, "pip", "--version").endswith(f"from {packages}/pip (python {PYTHON})")


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    built = build_channel(tmp_path, [pip_wheel()])
    before = built.stat()
    assert build_channel(tmp_path, [pip_wheel()]) == built
    assert built.stat() == before
    assert list(tmp_path.iterdir()) == [built]


def test_dask_runs_from_the_small_channel(small: Path, tmp_path: Path) -> None:
    with serve(small) as channel:
        prefix = installed(solved(channel.url, ["python", "pip", "dask"], tmp_path), tmp_path)
    version = said(prefix, "python", "-c", "import distributed; print(distributed.__version__)")
    assert said(prefix, "dask", "--version") == f"dask, version {version}"
    assert said(prefix, "pip", "check") == "No broken requirements found."
