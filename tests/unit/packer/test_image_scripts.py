"""The image's own judgement, on made-up trees: what 80-check.sh and 90-clean.sh let pass and what not."""

import compileall
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from py_compile import PycInvalidationMode

import packaging
import pytest

PACKER = Path(__file__).parents[3] / "packer"
LIBEXEC = "usr/libexec/dask-bake"
PAYLOAD = "/var/tmp/dask-bake"
DIGEST = "0" * 64
SITE = f"opt/dask/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

# What a base image brings, with cloud-init before 24.3 or since.
BASE_UNITS = (
    *("cloud-config.service", "cloud-config.target", "cloud-final.service", "cloud-init-local.service"),
    *("ssh.service", "systemd-networkd.service", "systemd-resolved.service"),
)

# What the scripts ask of the system, as programs that do nothing, or next to nothing.
PROGRAMS = {
    "cloud-init": 'rm -rf "$DASK_BAKE_ROOT"/var/lib/cloud/*',
    "journalctl": "",
    "runuser": 'test "$1 $2 $3" = "-u dask --" && shift 3 && exec "$@"',
    "sshd": 'test ! -e "$DASK_BAKE_ROOT/etc/ssh/wrong"',
    "sync": "",
    "systemctl": "",
    "systemd-analyze": 'echo "$@" >"$DASK_BAKE_ROOT/verified"; test ! -e "$DASK_BAKE_ROOT/invalid"',
}


def put(root: Path, name: str, text: str = "x\n") -> Path:
    """A file below root."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run_script(name: str, root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """A script of packer/scripts, on a made-up tree; it sees nothing of this machine but its programs."""
    programs = root.with_name(root.name + "-programs")
    for program, line in PROGRAMS.items():
        put(programs, program, f"#!/bin/sh\n{line}\n").chmod(0o755)
    return subprocess.run(
        ["bash", "-euo", "pipefail", str(PACKER / "scripts" / name), *words],
        env={"PATH": f"{programs}:{os.defpath}", "DASK_BAKE_ROOT": str(root), "DASK_BAKE_PAYLOAD": PAYLOAD},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# ---- 90-clean.sh


@pytest.fixture
def tree(tmp_path) -> Path:
    """An image's tree with nothing in it that must not be there."""
    root = tmp_path / "image"
    put(root, "etc/dask-bake/manifest.json", json.dumps({"digest": DIGEST}))
    put(root, "etc/machine-id", "")
    put(root, "etc/pip.conf", "[global]\nindex-url = https://mirror.example/simple\n")
    put(root, "etc/ssl/private/one.pem")
    put(root, "home/admin/.bashrc")
    put(
        root,
        "opt/dask/conda-meta/python-3.11.9-0.json",
        '{"url": "https://conda.example/python-3.11.9-0.conda"}',
    )
    put(root, f"{SITE}/distributed/tests/id_rsa.pem")
    put(root, f"{SITE}/distributed/__pycache__/core.pyc")
    put(root, "var/log/syslog", "")
    for folder in ("root", "etc/ssh", "var/tmp", "var/lib/cloud", "var/lib/dask"):
        (root / folder).mkdir(parents=True)
    return root


REMOVED = {
    "/root/.ssh/authorized_keys": "a key that opens the node",
    "/home/admin/.ssh/authorized_keys2": "a key that opens the node",
    "/etc/ssh/ssh_host_ed25519_key": "a host key",
    "/etc/machine-id": "an identity",
    "/var/lib/dbus/machine-id": "an identity",
    "/var/lib/systemd/random-seed": "an identity",
    "/var/lib/dhcp/dhclient.leases": "an identity",
    "/root/.bash_history": "a history",
    "/home/admin/.python_history": "a history",
    "/home/admin/.lesshst": "a history",
    "/home/admin/.ipython/profile_default/history.sqlite": "a history",
    "/home/admin/.cache/pip/http/one": "a cache",
    "/root/.cache/rattler/cache/one": "a cache",
    "/root/.rattler/cache/one": "a cache",
    "/root/.conda/pkgs/one": "a cache",
    "/opt/dask/pkgs/one.conda": "a cache",
    "/var/cache/apt/pkgcache.bin": "a cache",
    "/var/cache/apt/archives/one.deb": "a cache",
    "/var/lib/apt/lists/one": "a cache",
    "/var/lib/cloud/instances/i-1/obj.pkl": "of cloud-init",
    "/var/lib/cloud/instance/user-data.txt": "of cloud-init",
    "/var/lib/cloud/seed/nocloud/user-data": "of cloud-init",
    "/var/log/cloud-init.log": "a log",
    "/var/log/journal/1/system.journal": "a log",
    "/var/log/syslog.1": "a log",
    "/var/tmp/dask-bake/pip.lock": "a leftover",
    "/var/tmp/other": "a leftover",
}

NAMED_ONLY = {
    "/srv/authorized_keys": ("a key that opens the node", "x"),
    "/home/admin/.aws/credentials": ("credentials", "x"),
    "/root/.netrc": ("credentials", "x"),
    "/root/.pypirc": ("credentials", "x"),
    "/home/admin/.docker/config.json": ("credentials", "{}"),
    "/home/admin/.git-credentials": ("credentials", "x"),
    "/root/.rattler/credentials.json": ("credentials", "{}"),
    "/root/.ssh/id_ed25519": ("a private key", "x"),
    "/home/admin/launch.pem": ("a private key", "x"),
    "/root/.condarc": ("a password or token", "channels: [https://me:secret@conda.example]"),
    "/opt/dask/.condarc": ("a password or token", "channels: [https://conda.example/t/abc/mine]"),
    "/home/admin/.config/pip/pip.conf": ("a password or token", "index-url = https://me:secret@pypi.example"),
    "/etc/pip.conf": ("a password or token", "index-url = https://abc@pypi.example/simple"),
    "/etc/environment": ("a password or token", "AWS_SECRET_ACCESS_KEY=x"),
    "/opt/dask/conda-meta/mine-1-0.json": (
        "a password or token",
        '{"url": "https://conda.example/t/abc/mine-1-0.conda"}',
    ),
    "/etc/dask-bake/manifest.json": ("a password or token", '{"channel": "https://me:secret@conda.example"}'),
    "/etc/dask-bake/head.env": ("a role", "x"),
    "/etc/dask-bake/no-notebook": ("a role", "x"),
    "/etc/dask-bake/preload/setup.py": ("a role", "x"),
    "/etc/dask-bake/tls/client.pem": ("a role", "x"),
    "/etc/ssh/sshd_config.d/40-dask-bake.conf": ("a role", "x"),
    "/etc/dask/dask-bake.yaml": ("a role", "x"),
    "/var/lib/dask-jupyter/token": ("a role", "x"),
}


def test_a_clean_tree_is_let_pass(tree):
    done = run_script("90-clean.sh", tree, "--judge")

    assert (done.returncode, done.stderr) == (0, "")


def named(kinds: dict[str, str]) -> str:
    """What 90-clean.sh says of these."""
    lines = "".join(sorted(f"{kind}: {path}\n" for path, kind in kinds.items()))
    return f"clean: these must not be in an image:\n{lines}"


def test_what_every_build_leaves_is_named_where_it_is_not_removed(tree):
    """Each of them."""
    for path in REMOVED:
        put(tree, path)
    done = run_script("90-clean.sh", tree, "--judge")

    folders = dict.fromkeys(("/var/lib/cloud/instance", "/var/lib/cloud/instances"), "of cloud-init")
    caught_above = "/var/lib/cloud/instances/i-1/obj.pkl"
    kinds = {**REMOVED, **folders, "/var/tmp/dask-bake": "a leftover"}
    assert (done.returncode, done.stderr) == (
        1,
        named({path: kinds[path] for path in kinds if path != caught_above}),
    )


def test_what_every_build_leaves_is_removed(tree):
    """All of it at once; the packages and their bytecode stay."""
    for path in REMOVED:
        put(tree, path)
    packages = sorted((tree / SITE).rglob("*"))
    done = run_script("90-clean.sh", tree)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted((tree / SITE).rglob("*")) == packages
    assert not (tree / PAYLOAD.lstrip("/")).exists()


def test_what_nobody_should_have_brought_ends_the_build(tree):
    """Each is named, and still there for whoever looks into it."""
    for path, (_, text) in NAMED_ONLY.items():
        put(tree, path, text + "\n")
    done = run_script("90-clean.sh", tree)

    assert done.returncode == 1
    assert done.stderr == named({path: kind for path, (kind, _) in NAMED_ONLY.items()})
    assert all((tree / path.lstrip("/")).exists() for path in NAMED_ONLY)


def test_nothing_is_removed_from_what_is_no_image(tree):
    """A script that is run by mistake must not empty somebody's machine."""
    put(tree, "root/.ssh/authorized_keys")
    (tree / "etc/dask-bake/manifest.json").unlink()
    done = run_script("90-clean.sh", tree)

    assert (done.returncode, done.stderr) == (
        1,
        "clean: this is no image being baked, so nothing is removed from it\n",
    )
    assert (tree / "root/.ssh/authorized_keys").exists()


# ---- 80-check.sh


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """A tree with a real, empty environment."""
    root = tmp_path_factory.mktemp("environment") / "image"
    venv.create(root / "opt/dask", with_pip=False, symlinks=True)
    return root


@pytest.fixture
def image(environment, tmp_path) -> Path:
    """A tree that passes: an environment with one package, locked and compiled."""
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
    put(root, f"{PAYLOAD}/pip.lock", f"# python: 3\nnice-one==1.0 --hash=sha256:{DIGEST}\n")
    add_package(root, "nice-one", {"nice_one/__init__.py": "import nice_one.part\n", "nice_one/part.py": ""})
    return root


def add_package(root: Path, name: str, files: dict[str, str], *, version: str = "1.0") -> None:
    """Install a package as pip would, and compile it."""
    for path, text in files.items():
        put(root, f"{SITE}/{path}", text)
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    put(root, f"{SITE}/{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    put(root, f"{SITE}/{info}/RECORD", "".join(f"{path},,\n" for path in files))
    compile_all(root)


def compile_all(root: Path, mode: PycInvalidationMode = PycInvalidationMode.UNCHECKED_HASH) -> None:
    """As the image does."""
    compileall.compile_dir(root / SITE, quiet=2, force=True, invalidation_mode=mode)


def complaint(root: Path) -> str:
    """What 80-check.sh ended with."""
    done = run_script("80-check.sh", root)
    assert done.returncode == 1, done.stdout
    return done.stderr.replace(str(root), "")


def test_a_good_image_passes_and_nothing_is_written(image):
    """Not even bytecode."""
    before = sorted(image.rglob("*"))
    done = run_script("80-check.sh", image)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PHASE: check\n1 modules of 1 packages imported in ")
    assert sorted(path for path in image.rglob("*") if path.name != "verified") == before


def test_a_unit_that_is_not_valid_ends_the_build(image):
    put(image, "invalid")
    assert complaint(image) == "check: a unit is not valid\n"


def test_jupyter_s_units_are_judged_where_jupyter_is(image):
    """Elsewhere they refer to a program that is not there, and never start."""
    run_script("80-check.sh", image)
    without = (image / "verified").read_text()
    put(image, "opt/dask/bin/jupyter-lab")
    run_script("80-check.sh", image)

    assert "dask-worker.service" in without
    assert "dask-jupyter" not in without
    assert "dask-jupyter.socket" in (image / "verified").read_text()


def test_jupyter_s_socket_starts_only_where_jupyter_is():
    units = PACKER / "rootfs/etc/systemd/system"
    program = "/opt/dask/bin/jupyter-lab"

    assert f"ConditionPathExists={program}\n" in (units / "dask-jupyter.socket").read_text()
    started = f"ExecStart=/{LIBEXEC}/as-login-user {program} "
    assert started in (units / "dask-jupyter.service").read_text()


def test_no_unit_names_a_login_user():
    """A launch may choose another than the image has."""
    units = PACKER / "rootfs/etc/systemd/system"
    users = {
        line for unit in units.glob("dask-*") for line in unit.read_text().splitlines() if "User=" in line
    }

    assert users == {"User=dask"}


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_the_image_says_who_logs_in(image, text):
    (image / "etc/dask-bake/user").unlink()
    if text is not None:
        put(image, "etc/dask-bake/user", text)
    assert complaint(image) == "check: /etc/dask-bake/user does not say who logs in\n"


def test_sshd_must_accept_its_configuration(image):
    put(image, "etc/ssh/wrong")
    assert complaint(image) == "check: sshd's configuration is not valid\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "is not a manifest: FileNotFoundError"),
        ("", "is not a manifest: JSONDecodeError"),
        ("{}", "is not a manifest: KeyError 'digest'"),
        ('{"digest": "abc"}', "has no digest, but 'abc'"),
    ],
)
def test_the_manifest_must_be_one(image, text, told):
    (image / "etc/dask-bake/manifest.json").unlink()
    if text is not None:
        put(image, "etc/dask-bake/manifest.json", text)
    assert complaint(image).startswith(f"check: /etc/dask-bake/manifest.json {told}")


def test_an_image_has_no_role(image):
    put(image, "etc/dask-bake/head.env")
    assert complaint(image) == "check: /etc/dask-bake/head.env would give every node a role\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nice-one==2.0 --hash=x", "nice-one is 1.0, pip.lock says 2.0"),
        ("other==1.0 --hash=x", "other 1.0 of pip.lock is not installed"),
    ],
)
def test_every_locked_wheel_is_installed_in_its_version(image, line, told):
    put(image, f"{PAYLOAD}/pip.lock", line + "\n")
    assert complaint(image) == f"check: {told}\n"


def test_there_must_be_a_lock(image):
    (image / PAYLOAD.lstrip("/") / "pip.lock").unlink()
    assert complaint(image) == f"check: {PAYLOAD} has neither pip.lock nor conda.lock\n"


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
    """A tree that passes, of conda packages and a wheel."""
    put(image, f"{PAYLOAD}/conda.lock", CONDA_LOCK)
    files = [f"{SITE.removeprefix('opt/dask/')}/nice_two/__init__.py"]
    put(image, f"opt/dask/{files[0]}", "")
    put(image, "opt/dask/conda-meta/nice-two-1.0-h1_0.json", json.dumps({"name": "nice-two", "files": files}))
    put(image, "opt/dask/conda-meta/epoch-1!2.0-pyhd_0.json", json.dumps({"name": "epoch", "files": []}))
    put(image, "opt/dask/conda-meta/history")
    compile_all(image)
    return image


def test_an_environment_of_conda_passes(conda_image):
    """The lock's packages for this platform, by the names that conda-meta has; modules are imported."""
    done = run_script("80-check.sh", conda_image)

    assert (done.returncode, done.stderr) == (0, "")
    assert "\n2 modules of 2 packages imported in " in done.stdout


def test_every_locked_conda_package_is_installed_in_its_build(conda_image):
    meta = conda_image / "opt/dask/conda-meta"
    (meta / "nice-two-1.0-h1_0.json").rename(meta / "nice-two-1.0-h2_0.json")

    told = "nice-two-1.0-h1_0 of conda.lock is not installed, but nice-two-1.0-h2_0"
    assert complaint(conda_image) == f"check: {told}\n"


def test_a_conda_package_without_python_s_metadata_is_imported_too(conda_image):
    put(conda_image, f"{SITE}/nice_two/__init__.py", "import absent\n")
    compile_all(conda_image)

    assert "check: nice-two cannot be imported: nice_two: ModuleNotFoundError: " in complaint(conda_image)


def test_a_source_that_is_not_compiled_is_named(image):
    next((image / SITE / "nice_one/__pycache__").glob("part.*.pyc")).unlink()
    assert complaint(image) == f"check: /{SITE}/nice_one/part.py is not compiled\n"


def test_a_wheel_s_bytecode_does_not_look_for_its_source(image):
    compile_all(image, PycInvalidationMode.TIMESTAMP)
    assert "check: " in (said := complaint(image))
    assert said.endswith(".py is compiled, but not for good\n")


def test_bytecode_that_conda_brought_is_that_of_its_source(conda_image):
    """conda compiles with a time; where that is not the source's, every process would compile again."""
    compile_all(conda_image, PycInvalidationMode.TIMESTAMP)
    assert run_script("80-check.sh", conda_image).returncode == 0

    os.utime(conda_image / SITE / "nice_two/__init__.py", (1, 1))
    told = f"/{SITE}/nice_two/__init__.py is compiled, but not for good"
    assert complaint(conda_image) == f"check: {told}\n"


def test_a_source_that_cannot_be_compiled_need_not_be(image):
    """Templates, and code for other versions of Python."""
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


def test_every_package_that_cannot_be_imported_is_named_with_the_reason(image):
    """However it fails, even if it hangs; those after it are imported all the same."""
    program = image / LIBEXEC / "check-imports"
    program.write_text(program.read_text().replace("LIMIT = 60.0", "LIMIT = 0.5"))
    for name, (source, _) in BAD.items():
        add_package(image, f"bad-{name}", {f"{name}.py": source + "\n"})
    said = complaint(image)

    assert [f"bad-{name} {why}" for name, (_, why) in BAD.items() if why not in said] == []
    assert all(f"check: bad-{name} cannot be imported: {name}: " in said for name in BAD)
    assert said.endswith("6 of 7 modules cannot be imported\ncheck: not every package can be imported\n")


def test_a_module_that_fails_only_after_another_is_let_pass(image):
    """It is tried again, alone."""
    add_package(image, "aa-first", {"aa_first.py": "import sys; sys.patched = True\n"})
    add_package(image, "zz-second", {"zz_second.py": "import sys; assert not hasattr(sys, 'patched')\n"})

    assert run_script("80-check.sh", image).returncode == 0


@pytest.mark.parametrize(("needs", "code"), [("matplotlib", 0), ("another", 1)])
def test_an_exception_holds_for_the_one_reason_that_it_has(image, needs, code):
    add_package(image, "matplotlib-inline", {"matplotlib_inline/__init__.py": f"import {needs}\n"})
    assert run_script("80-check.sh", image).returncode == code


def test_namespaces_private_modules_and_strays(image):
    """The package in a namespace is imported, a private module if there is no other, tests never."""
    failing = "import absent\n"
    add_package(image, "spaced", {"space/inner/__init__.py": failing, "space/loose.py": failing})
    add_package(image, "hidden", {"_hidden.py": failing})
    add_package(image, "open", {"open_one.py": "", "_closed.py": failing, "tests/__init__.py": failing})
    said = complaint(image)

    assert "check: spaced cannot be imported: space.inner: " in said
    assert "check: hidden cannot be imported: _hidden: " in said
    assert "2 of 4 modules cannot be imported" in said


def test_what_the_packages_ask_of_each_other_is_remarked_on(image):
    """And no more: the lock is what was asked for."""
    shutil.copytree(Path(packaging.__file__).parent, image / SITE / "packaging")
    metadata = next((image / SITE).glob("nice_one-*/METADATA"))
    asks = ("nice-one>=2", "absent; python_version > '3'", "other; extra == 'all'", "nice.one==1.*")
    metadata.write_text(metadata.read_text() + "".join(f"Requires-Dist: {line}\n" for line in asks))
    compile_all(image)
    done = run_script("80-check.sh", image)

    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("remark: ")] == [
        "remark: nice-one 1.0 asks for nice-one>=2; there is 1.0",
        "remark: nice-one 1.0 asks for absent; there is None",
    ]


# ---- What the base image brings


def newer(image: Path) -> None:
    """Make it an image with cloud-init 24.3 or newer."""
    (image / "lib/systemd/system/cloud-init.service").unlink()
    for unit in ("cloud-init-main.service", "cloud-init-network.service", "cloud-init-hotplugd.service"):
        put(image, f"usr/lib/systemd/system/{unit}")


def test_an_image_with_either_cloud_init_passes(image):
    newer(image)
    assert run_script("80-check.sh", image).returncode == 0


@pytest.mark.parametrize("unit", [*BASE_UNITS, "cloud-init.service"])
def test_a_unit_that_a_node_counts_on_must_be_there(image, unit):
    (image / f"lib/systemd/system/{unit}").unlink()
    done = run_script("80-check.sh", image)
    assert (done.returncode, done.stderr) == (1, f"check: the base image has no {unit}\n")


def test_each_stage_of_cloud_init_must_end_the_node_that_it_fails_on(image):
    put(image, "usr/lib/systemd/system/cloud-init-later.service")
    done = run_script("80-check.sh", image)
    assert (done.returncode, done.stderr) == (
        1,
        "check: nothing ends a node whose cloud-init-later.service fails\n",
    )
