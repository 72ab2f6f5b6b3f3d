"""Which sources of an image compile_sources.py compiles, and how."""

import subprocess
import sys
from pathlib import Path

from image_scripts import PACKER, put

PROGRAM = PACKER / "scripts/compile_sources.py"


def compile_below(folder: Path) -> set[str]:
    """Compile, and return the sources that have bytecode now."""
    done = subprocess.run(
        [sys.executable, "-IB", str(PROGRAM), str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert all(path.read_bytes()[4:8] == b"\1\0\0\0" for path in folder.rglob("*.pyc"))  # PEP 552
    return {path.name.partition(".")[0] for path in folder.rglob("*.pyc")}


def test_every_source_is_compiled_but_tests_and_what_is_not_python(tmp_path: Path) -> None:
    sources = [f"package/part{number}/module{number}.py" for number in range(40)]
    for name in sources:
        put(tmp_path, name, "import sys\n")
    put(tmp_path, "package/tests/left_out.py", "import sys\n")
    put(tmp_path, "package/template.py", "{% if name %}\n")
    put(tmp_path, "package/warns.py", "'\\d'\n")
    put(tmp_path, "package/testing.txt")

    assert compile_below(tmp_path) == {"warns", *(f"module{number}" for number in range(40))}


def test_a_folder_without_sources_is_no_error(tmp_path: Path) -> None:
    assert compile_below(tmp_path) == set()
