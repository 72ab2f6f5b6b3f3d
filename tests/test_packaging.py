"""The wheel holds the files that git tracks, and nothing else, such as a forgotten secret."""

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ("launcher/dask_bake", "packer", "userdata")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target=wheel", f"--directory={folder}"]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def in_git() -> list[Path]:
    """Return the tracked files and the new ones that are not ignored, without deleted ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *SHIPPED]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("not a checkout")
    return sorted({Path(name) for name in answer.stdout.split("\0") if name and (ROOT / name).is_file()})


def in_wheel(path: Path) -> str:
    return (
        path.relative_to("launcher").as_posix()
        if path.parts[0] == "launcher"
        else f"dask_bake/{path.as_posix()}"
    )


def test_the_wheel_holds_what_git_holds(wheel: zipfile.ZipFile) -> None:
    names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(in_wheel(path) for path in in_git())


def test_executable_files_stay_executable(wheel: zipfile.ZipFile) -> None:
    executable = [in_wheel(path) for path in in_git() if (ROOT / path).stat().st_mode & stat.S_IXUSR]
    modes = {info.filename: info.external_attr >> 16 for info in wheel.infolist()}
    assert [name for name in executable if not modes[name] & stat.S_IXUSR] == []
