"""Environment files in the spirit of public ones: each is locked, or refused in a sentence with a way out."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from conda_channel import index_channel
from conda_packages import make_package
from conda_server import Served, serve
from dask_bake.environment.options import EnvironmentOptions
from dask_bake.environment.request import Directories, read_request
from dask_bake.environment.resolve import prepare
from dask_bake.errors import BakeError
from dask_bake.models.cloud import InstallerChoice
from pip_index import make_project, make_pythons, make_wheel

DATA = Path(__file__).parents[2] / "data" / "environments"
FILES = sorted(DATA.glob("*.yml"))
CONDA, PIP, _ = InstallerChoice
PYTHON = ("python",)
VERSIONS = {
    "dask": ("2.0", "2024.1.0"),
    "dask-core": ("2.0", "2024.1.0"),
    "distributed": ("2024.1.0",),
    "numpy": ("1.23", "1.26.4", "2.1"),
    "pandas": ("2.2",),
    "xarray": ("2024.1",),
    "zarr": ("2.16", "3.0"),
    "toolz": ("0.12", "0.12.1"),
    "jupyterlab": ("4.1",),
    "pyarrow": ("15.0",),
    "pytorch": ("2.1.0", "2.2.0"),
    "torch": ("2.1.0", "2.2.0"),
    "esmpy": ("8.4.2",),
    "samtools": ("1.19",),
    "gdal": ("3.8",),
    "pip": ("24.0",),
    "boltons": ("23.1", "24.0"),
    "xpublish": ("0.3.1", "1.0"),
}
"""Versions of packages that have others than 1.0."""
COMMON = (
    *("dask", "distributed", "xarray", "zarr", "netcdf4", "s3fs", "cartopy", "jupyterlab", "pyarrow"),
    *("toolz", "numpy", "pandas", "xesmf", "rasterio", "pip"),
)
ON_CONDA = {
    "conda-forge": (
        *COMMON,
        *("dask-core", "esmpy", "nodejs", "gdal", "mystery-tool", "conda", "msgpack-python", "opencv"),
        *("python-graphviz", "pytables", "matplotlib-base"),
    ),
    "bioconda": ("plink", "samtools"),
    "pytorch": ("pytorch",),
}
ON_PIP = (
    *COMMON,
    *(
        "torch",
        "boltons",
        "xpublish",
        "msgpack",
        "tables",
        "graphviz",
        "opencv_python_headless",
        "matplotlib",
    ),
)
EXTRAS = ("array", "complete", "dataframe", "diagnostics", "distributed")


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("channels")
    for channel, names in ON_CONDA.items():
        for name in names:
            for version in VERSIONS.get(name, ("1.0",)):
                needs = ["dask-core >=2024"] if name == "xarray" else []
                needs += [f"dask-core =={version}"] if name == "dask" else []
                make_package(root / channel, name, version, [*PYTHON, *needs])
    for version in ("3.11.9", "3.12.4", "3.13.1"):
        make_package(root / "conda-forge", "python", version)
    for channel in ON_CONDA:
        index_channel(root / channel)
    return root


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name in ON_PIP:
        for version in VERSIONS.get(name, ("1.0",)):
            needs = ["dask>=2024"] if name == "xarray" else []
            make_wheel(folder, name, version, needs, EXTRAS if name == "dask" else ())
    return folder


@pytest.fixture(scope="module")
def served(channels: Path) -> Iterator[Served]:
    with serve(channels) as served:
        yield served


@pytest.fixture(scope="module")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pythons(tmp_path_factory.mktemp("pythons"), "3.12.4")


@pytest.fixture
def home(
    tmp_path: Path, wheels: Path, pythons: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(pythons))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    home = tmp_path / "science"
    shutil.copytree(DATA, home)
    make_project(home / "lab", "lab", needs=["toolz"])
    make_wheel(home / "wheels", "ours", "1.2", extras=["fast"])
    (home / "installers.lock").write_text("")
    return home


def expected(file: Path) -> dict[str, str]:
    """Return the outcome in the comments at the top, by installer."""
    text = file.read_bytes().decode("latin-1").replace("\r", "")
    return dict(re.findall(r"^# (conda|pip): (.*)$", text, re.MULTILINE))


def outcome(options: EnvironmentOptions, home: Path, environ: dict[str, str]) -> str:
    """``locked``, or the sentence; an error without a way out, or of another kind, fails the test."""
    directories = Directories(home, home / "state", home / "cache")
    try:
        request = read_request(options, directories, notify=[].append, environ=environ)
        lock = prepare(request, notify=[].append).lock
    except BakeError as error:
        return f"refused {error.message}" if error.hint else f"no way out: {error.message}"
    return "locked" if all(each.sha256 for each in lock.packages) else "without a hash"


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("installer", [CONDA, PIP], ids=str)
def test_a_real_environment_is_locked_or_refused_with_a_way_out(
    installer: InstallerChoice, file: Path, home: Path, served: Served
) -> None:
    path = home / file.name
    path.write_bytes(path.read_bytes().replace(b"${MIRROR}", served.url.encode()))
    word, _, message = expected(file)[str(installer)].partition(" ")
    environ = {"HOME": str(home), "MIRROR": served.url, "CONDA_CHANNEL_ALIAS": served.url}
    found = outcome(EnvironmentOptions(file=path, installer=installer), home, environ)
    assert found.startswith(word)
    assert message in found
    assert "s3cr3t" not in found + "".join(lock.read_text() for lock in home.glob("*.lock"))


def test_there_are_forty_of_them_and_what_they_come_to() -> None:
    outcomes = [expected(file) for file in FILES]
    assert len(FILES) >= 40
    assert sum(each["conda"] == "locked" for each in outcomes) == 29
    assert sum(each["pip"] == "locked" for each in outcomes) == 24
