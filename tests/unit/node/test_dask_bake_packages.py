"""Packages that tasks install: where pip puts them, and who imports them."""

import os
import sys
from pathlib import Path

from dask_bake_packages import VERSION, use_packages


def test_pip_installs_to_the_prefix_and_python_imports_from_there(tmp_path):
    environ, path = {"PYTHONPATH": "/mine"}, ["/usr/libexec/dask-bake", "/opt/dask"]

    use_packages(environ, path, str(tmp_path))

    folder = str(tmp_path / "lib" / VERSION / "site-packages")
    assert environ == {"PIP_PREFIX": str(tmp_path), "PYTHONPATH": f"/mine{os.pathsep}{folder}"}
    assert path == ["/usr/libexec/dask-bake", folder, "/opt/dask"]
    assert Path(folder).is_dir()


def test_a_target_of_the_launch_s_own_is_kept(tmp_path):
    environ = {"PIP_TARGET": "/srv/packages"}
    use_packages(environ, [], str(tmp_path))
    assert "PIP_PREFIX" not in environ


def test_a_prefix_that_cannot_be_made_changes_nothing(tmp_path):
    (tmp_path / "file").touch()
    environ, path = {}, list(sys.path)
    use_packages(environ, path, str(tmp_path / "file"))
    assert (environ, path) == ({}, sys.path)
