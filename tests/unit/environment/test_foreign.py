"""Environments in the files of other tools."""

import subprocess
from pathlib import Path

import pytest
import yaml

from conda_channel import index_channel
from conda_packages import make_package
from conda_server import serve
from dask_bake.environment.conda.channels import Channels
from dask_bake.environment.conda.solve import solve
from dask_bake.environment.foreign import as_environment, is_for_pip
from dask_bake.environment.pip.host_pip import find_uv
from dask_bake.environment.spec import Environment, parse_environment
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture
from pip_index import make_project, make_wheel

X86 = Architecture.X86_64


def environment_of(path: Path, architecture: Architecture = X86) -> Environment:
    return parse_environment(as_environment(path, path.read_bytes(), architecture), path.name)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("requirements.txt", True),
        ("requirements.in", True),
        ("pyproject.toml", True),
        ("uv.lock", True),
        ("environment.yml", False),
        ("pixi.lock", False),
        ("conda-lock.yml", False),
    ],
)
def test_pip_installs_what_pip_s_users_have(name, answer):
    assert is_for_pip(Path(name)) == answer


def test_requirements_are_read_by_pip_s_rules(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("dask\n")
    environment = environment_of(path)
    assert (environment.specs, environment.requirements) == ((), ("-r requirements.txt",))
    assert environment.name == tmp_path.name


def test_an_environment_yml_is_itself(tmp_path):
    path = tmp_path / "environment.yml"
    path.write_bytes(b"dependencies: [dask]\n")
    assert as_environment(path, path.read_bytes(), X86) == path.read_bytes()
    path.write_bytes(b"dependencies: [")
    assert as_environment(path, path.read_bytes(), X86) == path.read_bytes()


def test_a_project_brings_what_it_requires_and_itself(tmp_path):
    make_project(tmp_path, "rides", needs=["dask"])
    path = tmp_path / "pyproject.toml"
    path.write_text(path.read_text() + 'requires-python = ">=3.11,<4"\n')
    environment = environment_of(path)
    assert (environment.name, environment.requirements) == ("rides", ("-e .",))
    assert environment.python == ("python >=3.11,<4",)


def test_a_project_with_uv_lock_brings_the_locked_versions(tmp_path, monkeypatch):
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path / "wheels", "toolz", version)
    make_project(tmp_path / "rides", "rides", needs=["toolz<2"])
    path = tmp_path / "rides" / "pyproject.toml"
    path.write_text(path.read_text() + 'requires-python = ">=3.11"\n[dependency-groups]\ndev = ["pytest"]\n')
    make_wheel(tmp_path / "wheels", "pytest", "1.0")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    links = ["--no-index", f"--find-links={tmp_path / 'wheels'}", f"--directory={path.parent}"]
    subprocess.run([find_uv(), "lock", "-q", *links], check=True)
    for name in ("pyproject.toml", "uv.lock"):
        assert environment_of(path.with_name(name)).requirements == ("-e .", "toolz==1.0")
    path.with_name("uv.lock").write_text("nonsense")
    with pytest.raises(UsageError, match=r"uv\.lock cannot be read: Failed to parse"):
        environment_of(path)


@pytest.mark.parametrize(
    ("text", "message"), [("[tool.x]\n", "has no \\[project\\]"), ("[", r"pyproject\.toml cannot be read: ")]
)
def test_a_toml_file_without_a_project_is_refused(text, message, tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        environment_of(path)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("pixi.toml", "pixi lock"),
        ("poetry.lock", "poetry export"),
        ("Pipfile", "pipenv requirements"),
        ("setup.py", "-e ."),
        ("pylock.toml", "the file that it was made from"),
    ],
)
def test_a_file_of_a_tool_that_is_not_read_has_a_way_out(name, way_out, tmp_path):
    path = tmp_path / name
    path.write_text("[project]\n")
    with pytest.raises(UsageError, match=f"{name} is no environment that dask-bake reads") as caught:
        environment_of(path)
    assert way_out in str(caught.value.hint)


@pytest.mark.parametrize("line", ["@EXPLICIT", "dask=2024.1.0=pyhd8ed1ab_0", "dask=2024.1.0"])
def test_a_list_of_conda_s_is_not_given_to_pip(line, tmp_path):
    path = tmp_path / "spec-file.txt"
    path.write_text(f"# platform: linux-64\n{line}\r\n")
    with pytest.raises(UsageError, match=f"spec-file.txt is a list of conda's, as '{line}' shows") as caught:
        environment_of(path)
    assert "conda env export" in str(caught.value.hint)


@pytest.mark.parametrize("line", ["dask==2024.1", "dask>=2024", "dask ~= 1.0  # a=1", "lab @ https://a/?b=1"])
def test_requirements_are_no_list_of_conda_s(line, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text(f"{line}\n")
    assert environment_of(path).requirements == ("-r requirements.txt",)


def test_a_poetry_project_is_built_by_its_own_backend(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.poetry]\nname = "rides"\n[build-system]\nrequires = ["poetry-core"]\n')
    environment = environment_of(path)
    assert (environment.name, environment.requirements) == ("rides", ("-e .",))
    path.write_text('[tool.poetry]\nname = "rides"\n')
    with pytest.raises(UsageError, match=r"has no \[project\]") as caught:
        environment_of(path)
    assert "poetry export" in str(caught.value.hint)


def test_a_pixi_project_names_its_lock(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname = "rides"\n[tool.pixi.dependencies]\ndask = "*"\n')
    with pytest.raises(UsageError, match=r"has its packages below \[tool\.pixi\]") as caught:
        environment_of(path)
    assert "pixi.lock" in str(caught.value.hint)


def test_a_pixi_lock_gives_its_own_packages(tmp_path):
    make_package(tmp_path / "channel", "dask", "1.0", ["toolz"])
    make_package(tmp_path / "channel", "toolz", "1.0")
    index_channel(tmp_path / "channel")
    with serve(tmp_path / "channel") as served:
        channels = Channels((served.url,))
        lock = solve(["dask"], channels, X86, comment="", environ={})
        path = tmp_path / "pixi.lock"
        path.write_text(lock.text)
        make_package(tmp_path / "channel", "toolz", "2.0")
        index_channel(tmp_path / "channel")
        environment = environment_of(path)
        again = solve(_matches(environment), channels, X86, comment="", environ={})
    assert [each.package for each in again.archives] == [each.package for each in lock.archives]
    assert environment.channels == (served.url,)
    with pytest.raises(UsageError, match=r"pixi\.lock locks nothing for linux-aarch64"):
        environment_of(path, Architecture.ARM64)


def _matches(environment: Environment) -> list[str]:
    from dask_bake.environment.conda.condarc import CondaSettings
    from dask_bake.environment.conda.match_spec import parse_spec

    return [parse_spec(spec).located(CondaSettings()) for spec in environment.specs]


def test_a_conda_lock_gives_the_packages_of_its_platform(tmp_path):
    path = tmp_path / "conda-lock.yml"
    place = "https://a.example/lab"
    packages = [
        conda("dask", f"{place}/noarch/dask-1.0-py_0.conda", "a" * 64),
        conda("numpy", f"{place}/linux-64/numpy-2.1-py311_0.tar.bz2"),
        conda("numpy", f"{place}/osx-64/numpy-2.1-py311_0.conda", platform="osx-64"),
        conda("pytest", f"{place}/noarch/pytest-8-0.conda", category="dev"),
        {**conda("rides", "https://b.example/rides-1-py3-none-any.whl"), "manager": "pip", "version": "1"},
    ]
    content = {"version": 1, "metadata": {"channels": [{"url": "lab"}]}, "package": packages}
    path.write_text(yaml.safe_dump(content))
    environment = environment_of(path)
    assert environment.channels == ("lab",)
    assert environment.specs == (
        f"{place}/noarch/dask-1.0-py_0.conda#sha256:{'a' * 64}",
        f"{place}/linux-64/numpy-2.1-py311_0.tar.bz2",
    )
    assert environment.requirements == ("rides==1",)
    with pytest.raises(UsageError, match="locks nothing for linux-aarch64"):
        environment_of(path, Architecture.ARM64)
    path.write_text(yaml.safe_dump({**content, "package": [{"platform": "linux-64", "manager": "conda"}]}))
    with pytest.raises(UsageError, match="a package lacks 'url'"):
        environment_of(path)
    path.write_text(yaml.safe_dump({**content, "version": 2}))
    with pytest.raises(UsageError, match="is in version 2 of its format"):
        environment_of(path)
    path.write_text(yaml.safe_dump({**content, "package": ["dask"]}))
    with pytest.raises(UsageError, match="locks nothing for linux-64"):
        environment_of(path)


def conda(name, url, sha256="", *, platform="linux-64", category="main"):
    return {
        "name": name,
        "version": "1",
        "manager": "conda",
        "platform": platform,
        "url": url,
        "hash": {"sha256": sha256} if sha256 else {"md5": "0"},
        "category": category,
    }
