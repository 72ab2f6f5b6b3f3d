"""The tests' conda packages: rattler solves and installs them."""

import os
import zipfile
from pathlib import Path

import pytest

from conda_channel import index_channel, installed, solved
from conda_packages import PYTHON, make_from_wheel, make_package
from conda_server import serve


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    """Two versions of a package; the newer one depends on a package that does not exist."""
    channel = tmp_path / "channel"
    make_package(channel, "a", "1.0", ["b >=1"], {"share/a": "one"})
    make_package(channel, "a", "2.0", ["b >=2"], {"share/a": "two"})
    make_package(channel, "b", "1.5", files={"bin/b": "#!/bin/sh\n"}, subdir="linux-64")
    index_channel(channel)
    return channel


def test_rattler_solves_and_installs_from_the_channel(synthetic: Path, tmp_path: Path) -> None:
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


def test_every_file_of_a_wheel_is_packaged(tmp_path: Path) -> None:
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
