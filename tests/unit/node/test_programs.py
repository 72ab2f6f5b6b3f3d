"""The programs in an image's rootfs: which Python they run with, and which tools check them."""

import sys
import tomllib
from pathlib import Path

import pytest

HOME = Path(__file__).parents[3]
ROOTFS = HOME / "packer/rootfs"
LIBEXEC = ROOTFS / "usr/libexec/dask-bake"
BASE_PYTHON = "#!/usr/bin/python3 -ESB\n"


def first_line(path: Path) -> str:
    return path.read_text().partition("\n")[0]


def test_every_python_program_without_a_suffix_is_linted_and_typed():
    """Ruff and mypy find files by their suffix, so these have to be named."""
    programs = {
        path.relative_to(HOME).as_posix()
        for path in ROOTFS.rglob("*")
        if path.is_file() and not path.suffix and "python" in first_line(path)
    }
    tools = tomllib.loads((HOME / "pyproject.toml").read_text())["tool"]

    assert len(programs) == 8
    assert programs == set(tools["ruff"]["extend-include"])
    assert programs <= set(tools["mypy"]["files"])


@pytest.mark.parametrize("name", ["credentials", "watch", "extend", "failed", "notebooks"])
def test_programs_that_must_always_run_need_only_the_base_image_s_python(name):
    """They import no package and nothing of the environment, because they run where that is broken."""
    text = (LIBEXEC / name).read_text()
    lines = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    imported = {line.split()[1].split(".")[0] for line in lines}

    assert text.startswith(BASE_PYTHON)
    assert imported <= sys.stdlib_module_names | {"watch_rules", "watch_facts"}
