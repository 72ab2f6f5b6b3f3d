"""Which images pass 80-check.sh and its programs, and why others do not."""

import compileall
import json
import os
import shutil
import venv
from pathlib import Path
from py_compile import PycInvalidationMode

import packaging
import pytest

from image_scripts import DIGEST, LIBEXEC, PACKER, PAYLOAD, SITE, put, run_script

OWN = "usr/lib/dask-bake/python"
# Units of every base image, whatever its release of cloud-init.
BASE_UNITS = (
    *("cloud-config.service", "cloud-config.target", "cloud-final.service", "cloud-init-local.service"),
    *("ssh.service", "systemd-networkd.service", "systemd-resolved.service"),
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """A folder with a real, empty virtual environment."""
    root = tmp_path_factory.mktemp("environment") / "image"
    venv.create(root / "opt/dask", with_pip=False, symlinks=True)
    return root


@pytest.fixture
def image(environment, tmp_path) -> Path:
    """An image that passes: its environment has one package, locked and compiled."""
    root = tmp_path / "image"
    shutil.copytree(environment, root, symlinks=True)
    put(root, "etc/dask-bake/manifest.json", json.dumps({"digest": DIGEST}))
    put(root, "etc/dask-bake/user", "admin\n")
    shutil.copytree(PACKER / "rootfs/etc/systemd/system", root / "etc/systemd/system")
    for unit in (*BASE_UNITS, "cloud-init.service"):
        put(root, f"lib/systemd/system/{unit}")
    (root / LIBEXEC).mkdir(parents=True)
    shutil.copy(PACKER / "rootfs" / LIBEXEC / "check-imports", root / LIBEXEC)
    shutil.copytree(PACKER / "scripts", root / PAYLOAD.lstrip("/"), ignore=shutil.ignore_patterns("*.sh"))
    put(root, f"{OWN}/dask_bake/__init__.py", "BakeCluster = connect = None\n")
    put(root, f"{SITE}/dask-bake.pth", f"{root / OWN}\n")
    put(root, f"{PAYLOAD}/pip.lock", f"# python: 3\nnice-one==1.0 --hash=sha256:{DIGEST}\n")
    add_package(root, "nice-one", {"nice_one/__init__.py": "import nice_one.part\n", "nice_one/part.py": ""})
    return root


def add_package(root: Path, name: str, files: dict[str, str], *, version: str = "1.0") -> None:
    """Install a package as pip does, and compile it."""
    for path, text in files.items():
        put(root, f"{SITE}/{path}", text)
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    put(root, f"{SITE}/{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    put(root, f"{SITE}/{info}/RECORD", "".join(f"{path},,\n" for path in files))
    compile_all(root)


def compile_all(root: Path, mode: PycInvalidationMode = PycInvalidationMode.UNCHECKED_HASH) -> None:
    """Compile as a bake does."""
    for folder in (SITE, OWN):
        compileall.compile_dir(root / folder, quiet=2, force=True, invalidation_mode=mode)


def problem(root: Path) -> str:
    """Return the message with which 80-check.sh ends the build."""
    done = run_script("80-check.sh", root)
    assert done.returncode == 1, done.stdout
    return done.stderr.replace(str(root), "")


def test_a_good_image_passes_and_nothing_is_written_not_even_bytecode(image):
    before = sorted(image.rglob("*"))
    done = run_script("80-check.sh", image)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PHASE: check\n1 modules of 1 packages imported in ")
    assert sorted(path for path in image.rglob("*") if path.name != "verified") == before


def test_an_invalid_unit_ends_the_build(image):
    put(image, "invalid")
    assert problem(image) == "check: a unit is invalid\n"


def test_jupyter_s_units_are_verified_if_jupyter_is_installed(image):
    """Otherwise they refer to a program that is missing, and never start."""
    run_script("80-check.sh", image)
    without = (image / "verified").read_text()
    put(image, "opt/dask/bin/jupyter-lab")
    run_script("80-check.sh", image)

    assert "dask-worker.service" in without
    assert "dask-jupyter" not in without
    assert "dask-jupyter.socket" in (image / "verified").read_text()


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_the_image_must_name_the_login_user(image, text):
    (image / "etc/dask-bake/user").unlink()
    if text is not None:
        put(image, "etc/dask-bake/user", text)
    assert problem(image) == "check: /etc/dask-bake/user does not name the login user\n"


def test_the_image_must_have_dask_bake_s_python_api(image):
    (image / SITE / "dask-bake.pth").unlink()
    assert problem(image) == "check: dask_bake cannot be imported: No module named 'dask_bake'\n"
    shutil.rmtree(image / OWN)
    assert problem(image) == f"check: /{OWN} has no dask_bake\n"


def test_sshd_must_accept_its_configuration(image):
    put(image, "etc/ssh/wrong")
    assert problem(image) == "check: sshd's configuration is invalid\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not a manifest: FileNotFoundError"),
        ("", "is not a manifest: JSONDecodeError"),
        ("{}", "is not a manifest: KeyError 'digest'"),
        ('{"digest": "abc"}', "has no valid digest: 'abc'"),
    ],
)
def test_the_manifest_must_be_valid(image, text, message):
    (image / "etc/dask-bake/manifest.json").unlink()
    if text is not None:
        put(image, "etc/dask-bake/manifest.json", text)
    assert problem(image).startswith(f"check: /etc/dask-bake/manifest.json {message}")


def test_an_image_has_no_role(image):
    put(image, "etc/dask-bake/head.env")
    assert problem(image) == "check: /etc/dask-bake/head.env would give every node this role\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nice-one==2.0 --hash=x", "nice-one is 1.0, pip.lock says 2.0"),
        ("other==1.0 --hash=x", "other 1.0 of pip.lock is not installed"),
    ],
)
def test_every_locked_wheel_is_installed_in_its_version(image, line, message):
    put(image, f"{PAYLOAD}/pip.lock", line + "\n")
    assert problem(image) == f"check: {message}\n"


def test_there_must_be_a_lock(image):
    (image / PAYLOAD.lstrip("/") / "pip.lock").unlink()
    assert problem(image) == f"check: {PAYLOAD} has neither pip.lock nor conda.lock\n"


CHANNEL = "https://conda.example/conda-forge"
CONDA_LOCK = f"""version: 6
environments:
  default:
    channels:
    - url: {CHANNEL}/
    packages:
      linux-64:
      - conda: {CHANNEL}/linux-64/nice-two-1.0-h1_0.conda
      - conda: {CHANNEL}/noarch/epoch-1%212.0-pyhd_0.tar.bz2
      linux-aarch64:
      - conda: {CHANNEL}/linux-aarch64/nice-two-1.0-h1_0.conda
      - conda: {CHANNEL}/noarch/epoch-1%212.0-pyhd_0.tar.bz2
      osx-64:
      - conda: {CHANNEL}/osx-64/nice-two-1.0-h9_0.conda
packages:
- conda: {CHANNEL}/linux-64/nice-two-1.0-h1_0.conda
  sha256: {DIGEST}
- conda: {CHANNEL}/osx-64/nice-two-1.0-h9_0.conda
  sha256: {DIGEST}
"""


@pytest.fixture
def conda_image(image) -> Path:
    """An image that passes, with conda packages and a wheel."""
    put(image, f"{PAYLOAD}/conda.lock", CONDA_LOCK)
    files = [f"{SITE.removeprefix('opt/dask/')}/nice_two/__init__.py"]
    put(image, f"opt/dask/{files[0]}", "")
    put(image, "opt/dask/conda-meta/nice-two-1.0-h1_0.json", json.dumps({"name": "nice-two", "files": files}))
    put(image, "opt/dask/conda-meta/epoch-1!2.0-pyhd_0.json", json.dumps({"name": "epoch", "files": []}))
    put(image, "opt/dask/conda-meta/history")
    compile_all(image)
    return image


def test_an_environment_of_conda_packages_passes(conda_image):
    """Packages of other platforms in the lock do not count; modules are imported."""
    done = run_script("80-check.sh", conda_image)

    assert (done.returncode, done.stderr) == (0, "")
    assert "\n2 modules of 2 packages imported in " in done.stdout


def test_every_locked_conda_package_is_installed_in_its_build(conda_image):
    meta = conda_image / "opt/dask/conda-meta"
    (meta / "nice-two-1.0-h1_0.json").rename(meta / "nice-two-1.0-h2_0.json")

    message = "nice-two-1.0-h1_0 of conda.lock is not installed, but nice-two-1.0-h2_0"
    assert problem(conda_image) == f"check: {message}\n"


def test_conda_packages_without_python_metadata_are_imported_too(conda_image):
    put(conda_image, f"{SITE}/nice_two/__init__.py", "import absent\n")
    compile_all(conda_image)

    assert "check: nice-two cannot be imported: nice_two: ModuleNotFoundError: " in problem(conda_image)


def test_a_source_that_is_not_compiled_ends_the_build(image):
    next((image / SITE / "nice_one/__pycache__").glob("part.*.pyc")).unlink()
    assert problem(image) == f"check: /{SITE}/nice_one/part.py is not compiled\n"


def test_bytecode_of_a_wheel_must_not_depend_on_its_source(image):
    compile_all(image, PycInvalidationMode.TIMESTAMP)
    assert "check: " in (message := problem(image))
    assert message.endswith(".py is compiled, but may be compiled again on a node\n")


def test_bytecode_of_a_conda_package_must_have_the_time_of_its_source(conda_image):
    """With another time, every process would compile again."""
    compile_all(conda_image, PycInvalidationMode.TIMESTAMP)
    assert run_script("80-check.sh", conda_image).returncode == 0

    os.utime(conda_image / SITE / "nice_two/__init__.py", (1, 1))
    message = f"/{SITE}/nice_two/__init__.py is compiled, but may be compiled again on a node"
    assert problem(conda_image) == f"check: {message}\n"


def test_a_source_that_cannot_be_compiled_is_let_pass(image):
    """Such as templates, and code for other versions of Python."""
    put(image, f"{SITE}/nice_one/template.py", "import {{ name }}\n")
    put(image, f"{SITE}/nice_one/old.py", "print 1\n")
    compile_all(image)

    assert run_script("80-check.sh", image).returncode == 0


BAD = {
    "absent": ("import absent_one", "ModuleNotFoundError: No module named 'absent_one'"),
    "asleep": ("import time; time.sleep(60)", "ended the process that imported it, with exit code 1,"),
    "exits": ("import sys; sys.exit('no')", "SystemExit: no"),
    "killed": ("import os; os.kill(os.getpid(), 11)", "ended the process that imported it, with signal 11\n"),
    "leaves": ("import os; os._exit(7)", "ended the process that imported it, with exit code 7,"),
    "wrong": ("1 / 0", "ZeroDivisionError: division by zero\n"),
}


def test_every_module_that_cannot_be_imported_is_reported_with_the_reason(image):
    """However it fails, even if it hangs; the modules after it are imported too."""
    program = image / LIBEXEC / "check-imports"
    program.write_text(program.read_text().replace("IMPORT_TIMEOUT = 60.0", "IMPORT_TIMEOUT = 0.5"))
    for name, (source, _) in BAD.items():
        add_package(image, f"bad-{name}", {f"{name}.py": source + "\n"})
    message = problem(image)

    assert [f"bad-{name} {why}" for name, (_, why) in BAD.items() if why not in message] == []
    assert all(f"check: bad-{name} cannot be imported: {name}: " in message for name in BAD)
    assert message.endswith("6 of 7 modules cannot be imported\ncheck: some packages cannot be imported\n")


def test_a_module_that_fails_only_after_another_passes(image):
    """It is tried again, alone."""
    add_package(image, "aa-first", {"aa_first.py": "import sys; sys.patched = True\n"})
    add_package(image, "zz-second", {"zz_second.py": "import sys; assert not hasattr(sys, 'patched')\n"})

    assert run_script("80-check.sh", image).returncode == 0


@pytest.mark.parametrize(("needs", "code"), [("matplotlib", 0), ("another", 1)])
def test_an_optional_dependency_may_be_missing_and_no_other(image, needs, code):
    add_package(image, "matplotlib-inline", {"matplotlib_inline/__init__.py": f"import {needs}\n"})
    assert run_script("80-check.sh", image).returncode == code


def test_namespaces_private_modules_and_stray_ones(image):
    """Packages in a namespace are imported, private modules if there are no others, and tests never."""
    failing = "import absent\n"
    add_package(image, "spaced", {"space/inner/__init__.py": failing, "space/loose.py": failing})
    add_package(image, "hidden", {"_hidden.py": failing})
    add_package(image, "open", {"open_one.py": "", "_closed.py": failing, "tests/__init__.py": failing})
    message = problem(image)

    assert "check: spaced cannot be imported: space.inner: " in message
    assert "check: hidden cannot be imported: _hidden: " in message
    assert "2 of 4 modules cannot be imported" in message


def test_requirements_that_are_not_met_are_only_reported(image):
    """The image has what the lock says."""
    shutil.copytree(Path(packaging.__file__).parent, image / SITE / "packaging")
    metadata = next((image / SITE).glob("nice_one-*/METADATA"))
    required = ("nice-one>=2", "absent; python_version > '3'", "other; extra == 'all'", "nice.one==1.*")
    metadata.write_text(metadata.read_text() + "".join(f"Requires-Dist: {line}\n" for line in required))
    compile_all(image)
    done = run_script("80-check.sh", image)

    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("note: ")] == [
        "note: nice-one 1.0 requires nice-one>=2, but 1.0 is installed",
        "note: nice-one 1.0 requires absent, but it is not installed",
    ]


def newer(image: Path) -> None:
    """Turn it into an image with cloud-init 24.3 or newer."""
    (image / "lib/systemd/system/cloud-init.service").unlink()
    for unit in ("cloud-init-main.service", "cloud-init-network.service", "cloud-init-hotplugd.service"):
        put(image, f"usr/lib/systemd/system/{unit}")


def test_an_image_with_a_newer_cloud_init_passes(image):
    newer(image)
    assert run_script("80-check.sh", image).returncode == 0


@pytest.mark.parametrize("unit", [*BASE_UNITS, "cloud-init.service"])
def test_a_unit_that_nodes_need_must_be_there(image, unit):
    (image / f"lib/systemd/system/{unit}").unlink()
    done = run_script("80-check.sh", image)
    assert (done.returncode, done.stderr) == (1, f"check: the base image has no {unit}\n")


def test_every_stage_of_cloud_init_must_power_a_failed_node_off(image):
    put(image, "usr/lib/systemd/system/cloud-init-later.service")
    done = run_script("80-check.sh", image)
    assert (done.returncode, done.stderr) == (
        1,
        "check: a node whose cloud-init-later.service fails would not power off\n",
    )
