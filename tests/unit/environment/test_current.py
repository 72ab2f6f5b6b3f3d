"""The environment of this Python."""

import importlib.metadata
import json
import sys
from importlib.metadata import PathDistribution

import yaml

from dask_bake.environment.current import own_environment
from dask_bake.environment.spec import parse_environment


def distribution(folder, name, version, *, needs=(), installer="pip", direct=None, requested=False):
    """Return an installed project."""
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in needs)]
    (place / "METADATA").write_text("\n".join(lines) + "\n")
    (place / "INSTALLER").write_text(installer + "\n")
    if requested:
        (place / "REQUESTED").touch()
    if direct:
        (place / "direct_url.json").write_text(json.dumps(direct))
    return PathDistribution(place)


def test_packages_of_dask_bake_are_left_out_and_local_ones_come_from_their_sources(tmp_path):
    there = [
        distribution(
            tmp_path,
            "dask-bake",
            "1",
            needs=["boto3>=1", "dask", "rich", "moto; extra == 'local'", "boto3-stubs; extra == 'dev'"],
        ),
        distribution(tmp_path, "boto3", "2", needs=["botocore"]),
        distribution(tmp_path, "rich", "3"),
        distribution(tmp_path, "dask", "4"),
        distribution(tmp_path, "My_Science", "5", needs=["rich>=1"]),
        distribution(tmp_path, "moto", "6"),
        distribution(tmp_path, "gone", "7", direct={"url": (tmp_path / "nowhere").as_uri(), "dir_info": {}}),
        distribution(
            tmp_path, "our-lab", "7", direct={"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
        ),
        distribution(
            tmp_path,
            "forked",
            "7",
            direct={
                "url": "https://me:pw@a.example/x.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc"},
                "subdirectory": "py",
            },
        ),
        distribution(tmp_path, "pip", "8"),
        distribution(tmp_path, "botocore", "9"),
        distribution(tmp_path, "boto3-stubs", "9", requested=True),
    ]
    own = own_environment(tmp_path, there)
    content = yaml.safe_load(own.text)
    assert own.left_out == ("gone",)
    assert content["dependencies"][2:] == [
        {
            "pip": [
                *("boto3-stubs==9", "dask==4"),
                "forked @ git+https://a.example/x.git@abc#subdirectory=py",
                *("my-science==5", f"our-lab @ {tmp_path.as_uri()}", "rich==3"),
            ]
        }
    ]
    assert parse_environment(own.text).name == "from-env"


def test_packages_installed_by_conda_are_conda_dependencies(tmp_path):
    (tmp_path / "conda-meta").mkdir()
    for name, version, depends in (
        ("numpy", "2.1", ["python >=3.11"]),
        ("libblas", "3", []),
        ("python", "3.11.9", []),
        ("dask-bake", "0.1", ["python >=3.11"]),
    ):
        record = {"name": name, "version": version, "depends": depends}
        (tmp_path / "conda-meta" / f"{name}.json").write_text(json.dumps(record))
    there = [
        distribution(tmp_path, "numpy", "2.1", installer="conda"),
        distribution(tmp_path, "from-pip", "1"),
    ]
    dependencies = yaml.safe_load(own_environment(tmp_path, there).text)["dependencies"]
    assert dependencies[1:] == ["pip", "numpy=2.1", {"pip": ["from-pip==1"]}]


def test_the_environment_of_this_python_is_valid_and_has_its_version_of_distributed():
    environment = parse_environment(own_environment().text, "this Python's environment")
    specs = [spec.partition("=")[0] for spec in environment.specs]
    names = [*specs, *(each.partition("==")[0] for each in environment.requirements)]
    version = importlib.metadata.version("distributed")
    assert {f"distributed=={version}", f"distributed={version}"} & {
        *environment.requirements,
        *environment.specs,
    }
    assert environment.specs[0] == "python={}.{}".format(*sys.version_info)
    assert "dask-bake" not in names
