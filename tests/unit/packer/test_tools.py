"""Programs for people on a node, which a bake installs where the base image lacks them."""

import shutil
import subprocess

import pytest

from image_scripts import PACKER

TOOLS = ("git", "curl", "less", "tmux", "vi", "rsync")


@pytest.fixture
def install(tmp_path):
    """Return a function that runs the script where only some programs are, and returns apt's arguments."""
    log = tmp_path / "log"

    def install(*there: str, code: int = 0, lock: str = "") -> tuple["subprocess.CompletedProcess[str]", str]:
        (tmp_path / "pip.lock").write_text(lock)
        programs = dict.fromkeys(there, "")
        programs["grep"] = f'exec {shutil.which("grep")} "$@"'
        programs["timeout"] = 'shift; exec "$@"'
        programs["apt-get"] = f'echo "apt-get $@" >>{log}; exit {code}'
        programs["dpkg"] = f'echo "dpkg $@" >>{log}'
        for name, line in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)
        bash = shutil.which("bash")
        assert bash is not None
        done = subprocess.run(
            [bash, str(PACKER / "scripts/15-tools.sh")],
            env={"PATH": str(tmp_path), "DASK_BAKE_PAYLOAD": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done, log.read_text() if log.exists() else ""

    return install


def test_only_what_is_missing_is_installed(install):
    done, log = install("git", "curl", "less", "tmux")
    assert (done.returncode, done.stdout) == (0, "PHASE: install tools\n")
    update, installed = log.splitlines()
    assert update.endswith(" update")
    assert set(installed.split()[-2:]) == {"vim-tiny", "rsync"}


def test_nothing_is_asked_of_apt_if_nothing_is_missing(install):
    done, log = install(*TOOLS)
    assert (done.returncode, done.stdout, log) == (0, "", "")


def test_without_debian_s_archive_the_bake_goes_on(install):
    done, log = install("git", code=100)
    assert done.returncode == 0
    assert "note: the image is without" in done.stdout
    assert log.splitlines()[-1] == "dpkg --configure --pending"


@pytest.mark.parametrize(
    ("lock", "is_installed"), [("graphviz==0.21 --hash=x\n", True), ("pygraphviz==1\n", False)]
)
def test_dot_comes_with_pip_s_graphviz(install, lock, is_installed):
    _, log = install(*TOOLS, lock=lock)
    assert log.endswith("graphviz\n") is is_installed
