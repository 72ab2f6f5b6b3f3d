"""Environments that 30-wheels.sh makes of the base image's Python, or of an uploaded one."""

import hashlib
import platform
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import uv

from image_scripts import PACKER, PAYLOAD, put, run_script
from pip_index import make_pythons, make_wheel

VERSION = platform.python_version()
MINOR = "{}.{}".format(*sys.version_info)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a payload of one wheel: a pip that writes where it runs, and installs nothing."""
    root = tmp_path / "image"
    (root / "opt").mkdir(parents=True)
    payload = root / PAYLOAD.lstrip("/")
    payload.mkdir(parents=True)
    wheel = tmp_path / "pip-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "pip/__main__.py", f"import sys; open({str(tmp_path / 'pip')!r}, 'w').write(sys.prefix)"
        )
    with tarfile.open(payload / "wheels.tar", "w") as tar:
        tar.add(wheel, wheel.name)
    program = "compile_sources.py"
    (payload / program).write_text((PACKER / "scripts" / program).read_text())
    archive = next(make_pythons(tmp_path / "pythons", VERSION).parent.glob("*.tar.gz"))
    archive.rename(payload / "python.tar.gz")
    return root


def put_lock(root: Path, digest: str, version: str = VERSION) -> None:
    text = f"# python: {version}\n# interpreter: cpython-{version}-linux-x86_64-gnu {digest}\n"
    put(root, f"{PAYLOAD}/pip.lock", text)


def archive_of(root: Path) -> Path:
    return root / PAYLOAD.lstrip("/") / "python.tar.gz"


def test_the_uploaded_python_is_unpacked_for_root_and_the_environment_is_made_of_it(
    image: Path, tmp_path: Path
) -> None:
    put_lock(image, hashlib.sha256(archive_of(image).read_bytes()).hexdigest())
    put(image, "opt/python/old")
    done = run_script("30-wheels.sh", image)

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "pip").read_text() == str(image / "opt/dask")
    python = image / f"opt/python/bin/python{MINOR}"
    assert python.stat().st_mode & 0o777 == 0o755
    assert not (image / "opt/python/old").exists()
    assert not archive_of(image).exists()
    (library,) = (image / f"opt/python/lib/python{MINOR}/__pycache__").iterdir()
    assert library.read_bytes()[4:8] == b"\1\0\0\0"  # never compiled again on a node (PEP 552)


def test_another_archive_than_the_locked_one_ends_the_build(image: Path) -> None:
    put_lock(image, "0" * 64)
    done = run_script("30-wheels.sh", image)

    assert done.returncode == 1
    assert done.stderr == f"wheels: the archive of Python {VERSION} is not the one in pip.lock\n"
    assert not (image / "opt/python").exists()


def test_without_an_uploaded_python_the_base_needs_the_locked_one(image: Path) -> None:
    archive_of(image).unlink()
    put_lock(image, "0" * 64, "3.99.1")
    done = run_script("30-wheels.sh", image)

    assert done.returncode == 1
    assert "wheels: pip.lock is for Python 3.99.1, the base image has 3." in done.stderr


def bring_uv(root: Path) -> None:
    """Put a wheel of uv, whose program runs this machine's, into the payload."""
    wheel = root.with_name("uv-1.0-py3-none-any.whl")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-1.0.data/scripts/uv", f'#!/bin/sh\nexec "{uv.find_uv_bin()}" "$@"\n')
    with tarfile.open(root / PAYLOAD.lstrip("/") / "uv.tar", "w") as tar:
        tar.add(wheel, wheel.name)


@pytest.mark.parametrize("is_locked_one", [True, False])
def test_uv_installs_where_it_is_uploaded_what_is_locked(
    is_locked_one: bool, image: Path, tmp_path: Path
) -> None:
    bring_uv(image)
    wheel = make_wheel(tmp_path / "wheels", "one", "1.0")
    with tarfile.open(image / PAYLOAD.lstrip("/") / "wheels.tar", "w") as tar:
        tar.add(wheel, wheel.name)
    python = hashlib.sha256(archive_of(image).read_bytes()).hexdigest()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest() if is_locked_one else "0" * 64
    put_lock(image, python)
    with (image / PAYLOAD.lstrip("/") / "pip.lock").open("a") as lock:
        lock.write(f"one==1.0 --hash=sha256:{digest}\n")
    done = run_script("30-wheels.sh", image)

    installed = [path.name for path in (image / "opt/dask").rglob("one-1.0.dist-info")]
    if is_locked_one:
        assert (done.returncode, done.stderr) == (0, "")
        assert installed == ["one-1.0.dist-info"]
        left = {path.name for path in (image / "opt/dask").iterdir()}
        assert left <= {"bin", "include", "lib", "lib64", "pyvenv.cfg"}
        assert {path.name for path in (image / PAYLOAD.lstrip("/")).iterdir()} == {
            "compile_sources.py",
            "pip.lock",
        }
    else:
        assert done.returncode != 0
        assert "Hash mismatch for `one==1.0`" in done.stderr
        assert installed == []
