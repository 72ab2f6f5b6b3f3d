"""Pythons that no base image has: uv's builds, in locks and payloads; by the real uv, from a folder."""

import hashlib
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dask_bake.bake.recipe import Recipe
from dask_bake.bake.staging import default_base
from dask_bake.environment.installers import Installer
from dask_bake.environment.options import EnvironmentOptions
from dask_bake.environment.pip.host_pip import find_uv
from dask_bake.environment.pip.interpreter import available_builds, bring, download
from dask_bake.environment.pip_lock import Interpreter, parse_lock
from dask_bake.environment.request import Directories, Request, read_request
from dask_bake.environment.resolve import prepare
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Event, Note
from dask_bake.models.cloud import Architecture, InstallerChoice
from dask_bake.models.debian import BOOKWORM, NEWEST, TRIXIE, DebianRelease
from pip_index import make_project, make_pythons, make_wheel

pytestmark = pytest.mark.skipif(find_uv() is None, reason="uv downloads them")

BUILD = "cpython-3.12.4-linux-x86_64-gnu"
PYTHONS = "3.11 on Debian 12, 3.13 on Debian 13"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with wheels, uv's cache, and Pythons as uv lists them."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "wheels").mkdir()
    for name in ("pip", "dask", "distributed"):
        make_wheel(folder / "wheels", name, "1.0")
    make_pythons(folder / "pythons", "3.12.1", "3.12.4", "3.13.9", "3.14.0rc1")
    make_pythons(folder / "arm", "3.12.3", machine="aarch64")
    return folder


@pytest.fixture(autouse=True)
def settings(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_MIRROR", "UV_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(kept / "wheels"))
    monkeypatch.setenv("UV_CACHE_DIR", str(kept / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(kept / "pythons/downloads.json"))


class Project:
    """A folder with an environment's file, and the notes while it was locked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "environment.yml"
        self.events: list[Event] = []

    def write(self, *specs: str) -> None:
        self.file.write_text(f"dependencies: {json.dumps([*specs, 'dask', 'distributed'])}\n")

    def prepare(
        self, *, caller: str = "3.11", base: DebianRelease | None = None, **options: Any
    ) -> Installer:
        chosen = EnvironmentOptions(file=self.file, installer=InstallerChoice.PIP)
        source = self.home / "source"
        source.mkdir(exist_ok=True)
        (source / "installers.lock").write_text("")
        request: Request = read_request(
            replace(chosen, **options),
            Directories(source, self.home / "state", self.home / "cache"),
            notify=self.events.append,
            base=base,
            environ={"HOME": str(self.home)},
        )
        return prepare(replace(request, caller=caller), notify=self.events.append)

    def refusal(self, **options: Any) -> tuple[str, str]:
        with pytest.raises(UsageError) as caught:
            self.prepare(**options)
        assert list(self.home.glob("*.lock")) == []
        return caught.value.message, caught.value.hint


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write("python=3.12")
    return project


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("spec", "version"),
    [("python=3.12", "3.12.4"), ("python =3.12.1", "3.12.1"), ("python >=3.12,<3.13", "3.12.4")],
)
def test_the_newest_allowed_build_is_locked_with_its_hash(
    spec: str, version: str, project: Project, kept: Path
) -> None:
    project.write(spec)
    lock = project.prepare().lock
    name = f"cpython-{version}-linux-x86_64-gnu"
    archive = next((kept / "pythons").glob(f"*-{version}-*"))
    assert (lock.python, lock.interpreter) == (version, Interpreter(name, sha256(archive)))
    assert project.events[0] == Note(
        f"environment.yml asks for {spec}, and no base image has it ({PYTHONS}):"
        f" uv downloads Python {version} for the image."
    )


def test_an_environment_without_a_python_gets_the_caller_s(project: Project) -> None:
    project.write()
    assert project.prepare(caller="3.12").lock.python == "3.12.4"
    assert [path.name for path in project.home.glob("*.lock")] == ["py312.pip.lock"]


def test_the_build_is_that_of_the_architecture(
    project: Project, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv downloads for a machine that is not this one."""
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(kept / "arm/downloads.json"))
    lock = project.prepare(architecture=Architecture.ARM64).lock
    assert lock.interpreter is not None
    assert lock.interpreter.name == "cpython-3.12.3-linux-aarch64-gnu"


def test_a_locked_build_is_not_looked_for_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = project.prepare()
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", "/nowhere")
    assert project.prepare().files == first.files
    lock = (project.home / "pip.lock").rename(project.home / "mine.txt")
    assert project.prepare(lock=lock, base=BOOKWORM).files == first.files


def test_a_base_with_another_python_gets_a_build_and_its_own_lock(project: Project) -> None:
    project.write("python=3.13")
    assert project.prepare(base=BOOKWORM).lock.python == "3.13.9"
    installer = project.prepare(base=TRIXIE)
    assert (installer.lock.python, installer.lock.interpreter) == (TRIXIE.python, None)


def test_any_base_suits_and_the_newest_is_the_default(project: Project) -> None:
    project.write("python=3.11")
    assert default_base(project.prepare()) == BOOKWORM
    project.write("python=3.12")
    assert default_base(project.prepare()) == NEWEST


def test_the_build_is_part_of_the_recipe_and_shown_in_the_manifest(project: Project) -> None:
    installer = project.prepare()
    lock = installer.lock
    assert f"# interpreter: {lock.interpreter}\n" in installer.files["pip.lock"].decode()
    manifest = Recipe("ami-1", "x86_64", "pip", (), ()).manifest(lock)
    assert dict(manifest.inputs)["interpreter"] == f"{BUILD} {lock.interpreter and lock.interpreter.sha256}"


def test_the_payload_has_the_archive_which_is_downloaded_again_if_it_is_gone(
    project: Project, tmp_path: Path
) -> None:
    found = project.prepare().lock.interpreter
    assert found is not None
    cache, archive = tmp_path / "cache/pythons", tmp_path / "python.tar.gz"
    assert sorted(path.name for path in cache.iterdir()) == [f"{found.sha256}.tar.gz", "installed"]
    for damage in ("", "damaged"):
        (cache / f"{found.sha256}.tar.gz").write_text(damage)
        assert bring(found, cache, tmp_path, archive, [].append) == archive.stat().st_size
        assert sha256(archive) == found.sha256
    shutil.rmtree(cache)
    assert bring(found, cache, tmp_path, archive, [].append) > 0


@pytest.mark.parametrize("source", ["-e ./rides", "./rides-1.0.tar.gz"])
def test_wheels_of_projects_are_built_by_the_build_that_is_locked(
    source: str, project: Project, tmp_path: Path
) -> None:
    make_project(tmp_path / "rides", "rides")
    with tarfile.open(tmp_path / "rides-1.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "rides", "rides-1.0")
    project.file.write_text(
        f"dependencies: ['python=3.12', dask, distributed, {{pip: [{json.dumps(source)}]}}]\n"
    )
    lock = project.prepare().lock
    assert lock.interpreter is not None
    assert lock.version("rides") == "1.0"
    used = tmp_path / f"cache/pythons/installed/{BUILD}/bin/python3.12.used"
    assert used.exists()


def test_a_build_that_changed_since_it_was_locked_is_refused(tmp_path: Path) -> None:
    locked = Interpreter(BUILD, "0" * 64)
    with pytest.raises(
        UsageError, match=f"{BUILD} has changed since it was locked: its SHA-256 is"
    ) as caught:
        bring(locked, tmp_path, tmp_path, tmp_path / "python.tar.gz", [].append)
    assert caught.value.hint == "dask-bake lock locks this one"


def test_a_locked_build_that_is_gone_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", "http://127.0.0.1:1/list")
    locked = Interpreter(BUILD, "0" * 64)
    with pytest.raises(UsageError) as caught:
        bring(locked, tmp_path / "cache", tmp_path, tmp_path / "python.tar.gz", [].append)
    assert caught.value.message == (
        f"{BUILD} of pip.lock is not in the cache, and 127.0.0.1 does not answer: Connection refused"
    )
    assert "UV_PYTHON_INSTALL_MIRROR" in caught.value.hint


def test_the_archive_of_another_hash_is_refused_and_not_kept(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "downloads.json"
    text = (kept / "pythons/downloads.json").read_text()
    digest = json.loads(text)[BUILD]["sha256"]
    listing.write_text(text.replace(digest, "0" * 64))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(listing))
    with pytest.raises(BakeError, match="the archive does not have the SHA-256 that uv knows"):
        download(BUILD, tmp_path / "cache", tmp_path, [].append)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["installed"]


WAYS = "UV_PYTHON_INSTALL_MIRROR can name a mirror of uv's builds; else"


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        (
            {"UV_PYTHON_DOWNLOADS_JSON_URL": "http://127.0.0.1:1/list"},
            "127.0.0.1 does not answer: Connection refused",
        ),
        ({"UV_PYTHON_DOWNLOADS": "never"}, "uv cannot download it: Python downloads are not allowed"),
        ({"UV_OFFLINE": "1", "UV_PYTHON_DOWNLOADS_JSON_URL": ""}, "UV_OFFLINE keeps uv from downloading it"),
        ({"UV_PYTHON_DOWNLOADS_JSON_URL": "/nowhere"}, "uv cannot download it: "),
    ],
)
def test_a_python_that_cannot_be_had_is_refused_with_the_reason(
    variables: dict[str, str], why: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    message, hint = project.refusal()
    assert message.startswith(
        f"environment.yml asks for python=3.12, and no base image has it ({PYTHONS}), and {why}"
    )
    assert hint == f"{WAYS} python=3.11 or python=3.13 or --installer conda"


def test_a_python_that_uv_has_no_build_of_is_refused(project: Project) -> None:
    """A release candidate is none."""
    project.write("python=3.14")
    assert project.refusal()[0] == (
        f"environment.yml asks for python=3.14, and no base image has it ({PYTHONS}),"
        " and uv has no build of it for x86_64"
    )
    project.write("python=3.13.20")
    assert project.refusal(base=BOOKWORM) == (
        "environment.yml asks for python=3.13.20, --base debian-12 has 3.11.2,"
        " and uv has no build of it for x86_64",
        f"{WAYS} --base debian-13 or --installer conda",
    )
    project.write()
    assert project.refusal(caller="3.10") == (
        "environment.yml names no Python, and no base image has this machine's 3.10,"
        " and uv has no build of it for x86_64",
        f"{WAYS} python=3.11 or python=3.13 or --installer conda",
    )


def test_the_hint_for_a_file_of_pip_s_names_an_environment_yml(project: Project) -> None:
    project.file = project.file.with_name("pyproject.toml")
    project.file.write_text('[project]\nname = "rides"\nrequires-python = "==3.14.*"\n')
    assert project.refusal()[1] == (
        f"{WAYS} --installer conda for an environment.yml with that Python and '-e .' under pip:"
    )


def test_only_released_versions_are_listed(tmp_path: Path) -> None:
    found = available_builds("x86_64", tmp_path, [].append)
    assert sorted(each.version for each in found) == ["3.12.1", "3.12.4", "3.13.9"]


def test_a_lock_is_read_as_it_was_written(project: Project) -> None:
    installer = project.prepare()
    assert parse_lock((project.home / "pip.lock").read_text()) == installer.lock
