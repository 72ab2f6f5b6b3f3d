"""The real uv, on an index on loopback."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conda_server import Served, serve
from dask_bake.environment.pip.resolve import Resolution, resolve
from dask_bake.environment.pip.target import Target
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note
from pip_index import make_project, make_sdist, make_wheel, write_index

TARGET = Target("3.12.1", "x86_64", (2, 36))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheels = tmp_path_factory.mktemp("index")
    make_wheel(wheels, "dask", "2.0", ["toolz>=1", "old; python_version < '3.12'"], extras=["complete"])
    make_wheel(wheels, "dask", "3.0", ["toolz>=1", "old; python_version < '3.12'"], extras=["complete"])
    make_wheel(wheels, "toolz", "1.0")
    make_wheel(wheels, "fast", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    make_wheel(wheels, "fast", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    make_wheel(wheels, "fast", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    make_wheel(wheels, "fast", "2.0", tag="cp312-cp312-manylinux_2_38_x86_64")
    make_sdist(wheels, "source", "0.5")
    return write_index(wheels)


@pytest.fixture(scope="module")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv's cache: it asks Python for its version once, and not for every test."""
    return tmp_path_factory.mktemp("uv")


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with serve(folder) as served:
        yield served


@pytest.fixture(autouse=True)
def pip_settings(served: Served, uv_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{served.url}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(uv_cache))


def locked(tmp_path: Path, *lines: str, **options: object) -> Resolution:
    options = {"folder": tmp_path, "cache": tmp_path / "wheels", "notify": [].append, **options}
    return resolve(lines, TARGET, **options)  # type: ignore[arg-type]


def names(found: Resolution) -> list[str]:
    return [f"{each.name} {each.version}" for each in found.packages]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_target_decides_and_not_this_python(tmp_path: Path, folder: Path) -> None:
    found = locked(tmp_path, "dask[complete]", "fast", constraints=["dask<3"])
    assert names(found) == ["dask 2.0", "fast 1.0", "toolz 1.0"]
    assert found.packages[1].sha256 == sha256(folder / "fast-1.0-cp312-cp312-manylinux_2_28_x86_64.whl")
    assert (found.sources, found.inputs) == ({}, {})


def test_requirement_files_are_relative_to_the_environment(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "requirements.txt").write_text("toolz  # a comment\n-c sub/limits.txt\n")
    (tmp_path / "sub" / "limits.txt").write_text("dask==2.0\n")
    found = locked(tmp_path, "-r requirements.txt", "dask")
    assert names(found) == ["dask 2.0", "toolz 1.0"]
    assert found.inputs == {
        "requirements.txt": sha256(tmp_path / "requirements.txt"),
        "sub/limits.txt": sha256(tmp_path / "sub/limits.txt"),
    }
    with pytest.raises(UsageError, match=r"the requirements .*/nowhere\.txt cannot be read: No such file"):
        locked(tmp_path, "-r nowhere.txt")


def test_options_of_the_pip_part_count(tmp_path: Path) -> None:
    make_wheel(tmp_path / "mine", "ours", "1")
    assert names(locked(tmp_path, "--find-links ./mine", "ours")) == ["ours 1"]
    make_wheel(tmp_path / "other", "theirs", "1")
    with serve(write_index(tmp_path / "other")) as other:
        assert names(locked(tmp_path, f"--extra-index-url {other.url}/simple", "theirs")) == ["theirs 1"]


def test_a_hash_in_the_requirements_is_checked(tmp_path: Path, folder: Path) -> None:
    right = sha256(folder / "toolz-1.0-py3-none-any.whl")
    assert names(locked(tmp_path, f"toolz==1.0 --hash=sha256:{right}")) == ["toolz 1.0"]
    with pytest.raises(BakeError, match=r"the wheel of toolz 1\.0 has another SHA-256 than"):
        locked(tmp_path, f"toolz==1.0 --hash=sha256:{'0' * 64}")


@pytest.mark.parametrize("algorithm", ["md5", ""])
def test_an_index_without_sha256_is_asked_for_the_wheel(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path / "old", "ours", "1")
    with serve(write_index(tmp_path / "old", algorithm=algorithm)) as other:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{other.url}/simple")
        found = locked(tmp_path, "ours")
    assert [each.sha256 for each in found.packages] == [sha256(wheel)]


def test_what_has_no_wheel_is_built(tmp_path: Path) -> None:
    found = locked(tmp_path, "source", "toolz")
    assert names(found) == ["source 0.5", "toolz 1.0"]
    assert found.sources == {"source": "source==0.5"}
    assert (tmp_path / "wheels" / found.packages[0].sha256 / "source-0.5-py3-none-any.whl").is_file()


def test_folders_are_built_and_their_content_belongs_to_the_lock(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        make_project(tmp_path / name, name, needs=["toolz"])
    lines = ("-e ./one", "./two", f"three @ file://{tmp_path}/three")
    found = locked(tmp_path, *lines)
    assert names(found) == ["one 1.0", "three 1.0", "toolz 1.0", "two 1.0"]
    assert set(found.sources) == {"one", "two", "three"}
    assert set(found.inputs) == set(found.sources.values())
    (tmp_path / "one" / "one.py").write_text("x = 2\n")
    changed = locked(tmp_path, *lines)
    differ = [one.name for one, other in zip(found.packages, changed.packages, strict=True) if one != other]
    assert differ == ["one"]
    assert {path for path in found.inputs if found.inputs[path] != changed.inputs[path]} == {
        found.sources["one"]
    }


def test_a_repository_is_locked_with_its_commit(tmp_path: Path) -> None:
    project = make_project(tmp_path / "lab", "lab", "2.0")
    git = ["git", "-C", str(project), "-c", "user.email=a@b", "-c", "user.name=n"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    found = locked(tmp_path, f"lab @ git+file://{project}")
    assert names(found) == ["lab 2.0"]
    assert found.sources == {"lab": f"lab @ git+file://{project}@{commit}"}


def test_a_wheel_by_its_address_or_path_is_locked(tmp_path: Path, served: Served, folder: Path) -> None:
    url = f"{served.url}/toolz-1.0-py3-none-any.whl"
    make_wheel(tmp_path, "mine", "3")
    found = locked(tmp_path, f"toolz @ {url}", "./mine-3-py3-none-any.whl")
    assert names(found) == ["mine 3", "toolz 1.0"]
    assert found.packages[1].sha256 == sha256(folder / "toolz-1.0-py3-none-any.whl")
    assert found.sources["toolz"] == f"toolz @ {url}"


def test_all_names_that_the_index_lacks_are_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BakeError) as caught:
        locked(tmp_path, "esmpy", "toolz", "nodejs>=2", "lab_two[x]")
    assert caught.value.message == "pip's index does not have esmpy, lab-two, nodejs"
    assert "--installer conda" in str(caught.value.hint)


def test_after_many_names_that_the_index_lacks_the_search_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv names one at a time."""
    monkeypatch.setattr("dask_bake.environment.pip.uv.MOST_ABSENT", 2)
    with pytest.raises(BakeError, match=r"does not have \w+, \w+ and perhaps others"):
        locked(tmp_path, *(f"nowhere{number}" for number in range(9)))


def test_pre_releases_are_taken_if_the_pip_part_says_so(tmp_path: Path) -> None:
    for version in ("1.0", "2.0rc1"):
        make_wheel(tmp_path / "mine", "ours", version)
    assert names(locked(tmp_path, "--find-links ./mine", "ours")) == ["ours 1.0"]
    assert names(locked(tmp_path, "--find-links ./mine", "--pre", "ours")) == ["ours 2.0rc1"]


def test_a_project_whose_version_is_computed_is_built(tmp_path: Path) -> None:
    project = make_project(tmp_path / "lab", "lab")
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace('version = "1.0"', 'dynamic = ["version"]'))
    backend = (project / "backend.py").read_text()
    (project / "backend.py").write_text(backend.replace('project["version"]', '"4.2"'))
    assert names(locked(tmp_path, "-e ./lab")) == ["lab 4.2"]


def test_a_conflict_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BakeError, match=r"cannot be resolved:\n(.|\n)*dask==9") as caught:
        locked(tmp_path, "dask==9")
    assert "DASK_BAKE_RESOLVER=pip" in str(caught.value.hint)


def test_an_index_that_does_not_answer_is_named_with_its_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:pw@127.0.0.1:9/simple")
    with pytest.raises(BakeError) as caught:
        locked(tmp_path, "dask")
    assert caught.value.message == (
        "pip's index does not answer: http://127.0.0.1:9/simple/dask/: Connection refused"
    )
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    monkeypatch.setenv("PIP_PROXY", "http://me:pw@127.0.0.1:9")
    with pytest.raises(
        BakeError, match=r"does not answer through the proxy http://127\.0\.0\.1:9 \(http_proxy\)"
    ):
        locked(tmp_path, "dask")


@pytest.mark.parametrize(
    ("line", "message", "way_out"),
    [
        (
            "lab @ http://me:pw@127.0.0.1:9/lab-1-py3-none-any.whl",
            "no answer: http://127.0.0.1:9/lab-1-py3-none-any.whl: Connection refused",
            "pip config list",
        ),
        (
            "git+http://me:pw@127.0.0.1:9/lab.git",
            "the repository http://127.0.0.1:9/lab.git cannot be fetched: fatal: ",
            "git ls-remote http://127.0.0.1:9/lab.git",
        ),
        ("git+git@a.example:lab/lab.git", "cannot be resolved", "write git+ssh://git@HOST/PATH"),
        (
            "lab @ file:///home/conda/feedstock_root/build_artifacts/lab_1",
            "cannot be resolved",
            "pip list --format=freeze",
        ),
    ],
)
def test_a_source_that_cannot_be_had_has_its_own_way_out(
    line: str, message: str, way_out: str, tmp_path: Path
) -> None:
    with pytest.raises(BakeError) as caught:
        locked(tmp_path, line)
    assert message in caught.value.message
    assert "pw" not in caught.value.message
    assert way_out in str(caught.value.hint)


def test_a_setting_that_uv_is_not_given_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_BINARY", "numpy")
    events: list[object] = []
    locked(tmp_path, "toolz", notify=events.append)
    assert [event.text for event in events if isinstance(event, Note)] == [
        "pip's settings no-binary are not used by uv; DASK_BAKE_RESOLVER=pip uses them."
    ]


def test_where_pip_installs_is_not_its_business_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    running = Target("{}.{}.1".format(*__import__("sys").version_info), "x86_64")
    options = {"folder": tmp_path, "cache": tmp_path / "wheels", "notify": [].append}
    found = resolve(["toolz"], running, **options, environ={"DASK_BAKE_RESOLVER": "pip"})
    assert names(found) == ["toolz 1.0"]


def test_a_resolver_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="DASK_BAKE_RESOLVER is 'conda'"):
        locked(tmp_path, "dask", environ={"DASK_BAKE_RESOLVER": "conda"})
