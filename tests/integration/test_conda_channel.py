"""The tests' conda channel: its Python is relocatable, and Dask runs from it."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from conda_channel import build_channel, index_channel, installed, small_channel, solved
from conda_packages import PYTHON, make_from_wheel, pip_wheel
from conda_server import serve

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1] / "support"
DEBIAN_PYTHON = Path(f"/usr/bin/python{PYTHON}")
PYTHONS = [sys.executable, *([str(DEBIAN_PYTHON)] if DEBIAN_PYTHON.exists() else [])]


@pytest.fixture(scope="module")
def small(request: pytest.FixtureRequest) -> Path:
    """Python, pip and Dask, cached between runs; the first run downloads wheels with pip."""
    return small_channel(request.config.cache.mkdir("conda-channel"))


def output_of(prefix: Path, *words: str) -> str:
    """Return the output of a program of the prefix, in a minimal environment."""
    path = f"{prefix}/bin:/usr/bin:/bin"
    command = [str(prefix / "bin" / words[0]), *words[1:]]
    done = subprocess.run(
        command, env={"PATH": path}, cwd=prefix, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_channel_s_python_works_in_another_prefix(python: str, tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    program = "import sys, pathlib, conda_packages; conda_packages.make_python(pathlib.Path(sys.argv[1]))"
    paths = os.pathsep.join([str(HERE), sysconfig.get_path("purelib")])
    subprocess.run([python, "-c", program, channel], env={**os.environ, "PYTHONPATH": paths}, check=True)
    make_from_wheel(channel, pip_wheel())
    index_channel(channel)
    prefix = installed(solved(channel.as_uri(), ["pip"], tmp_path), tmp_path)
    packages = f"{prefix}/lib/python{PYTHON}/site-packages"
    imports = "import ssl, sqlite3, ctypes, lzma, bz2, zlib, sys, sysconfig, pip"
    output = output_of(
        prefix,
        "python",
        "-c",
        f"{imports}; print(sys.prefix, sysconfig.get_path('purelib'), pip.__path__[0])",
    )
    assert output == f"{prefix} {packages} {packages}/pip"
    assert output_of(prefix, "pip", "--version").endswith(f"from {packages}/pip (python {PYTHON})")


def test_packages_are_built_once(tmp_path: Path) -> None:
    built = build_channel(tmp_path, [pip_wheel()])
    before = built.stat()
    assert build_channel(tmp_path, [pip_wheel()]) == built
    assert built.stat() == before
    assert list(tmp_path.iterdir()) == [built]


def test_dask_runs_from_the_small_channel(small: Path, tmp_path: Path) -> None:
    with serve(small) as channel:
        prefix = installed(solved(channel.url, ["python", "pip", "dask"], tmp_path), tmp_path)
    version = output_of(prefix, "python", "-c", "import distributed; print(distributed.__version__)")
    assert output_of(prefix, "dask", "--version") == f"dask, version {version}"
    assert output_of(prefix, "pip", "check") == "No broken requirements found."
