"""What 90-clean.sh removes, and which files end the build."""

import json
from pathlib import Path

import pytest

from image_scripts import DIGEST, PAYLOAD, SITE, put, run_script


@pytest.fixture
def tree(tmp_path) -> Path:
    """An image with nothing in it that must not be there."""
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
    "/root/.ssh/authorized_keys": "an authorized SSH key",
    "/home/admin/.ssh/authorized_keys2": "an authorized SSH key",
    "/etc/ssh/ssh_host_ed25519_key": "an SSH host key",
    "/etc/machine-id": "a machine identity",
    "/var/lib/dbus/machine-id": "a machine identity",
    "/var/lib/systemd/random-seed": "a machine identity",
    "/var/lib/dhcp/dhclient.leases": "a machine identity",
    "/etc/netplan/50-cloud-init.yaml": "a machine identity",
    "/root/.bash_history": "a command history",
    "/home/admin/.python_history": "a command history",
    "/home/admin/.lesshst": "a command history",
    "/home/admin/.ipython/profile_default/history.sqlite": "a command history",
    "/home/admin/.cache/pip/http/one": "a cache",
    "/root/.cache/rattler/cache/one": "a cache",
    "/root/.rattler/cache/one": "a cache",
    "/root/.conda/pkgs/one": "a cache",
    "/opt/dask/pkgs/one.conda": "a cache",
    "/var/cache/apt/pkgcache.bin": "a cache",
    "/var/cache/apt/archives/one.deb": "a cache",
    "/var/lib/apt/lists/one": "a cache",
    "/var/lib/cloud/instances/i-1/obj.pkl": "cloud-init state",
    "/var/lib/cloud/instance/user-data.txt": "cloud-init state",
    "/var/lib/cloud/seed/nocloud/user-data": "cloud-init state",
    "/var/log/cloud-init.log": "a log",
    "/var/log/journal/1/system.journal": "a log",
    "/var/log/syslog.1": "a log",
    "/var/tmp/dask-bake/pip.lock": "a leftover file",
    "/var/tmp/other": "a leftover file",
}

NAMED_ONLY = {
    "/srv/authorized_keys": ("an authorized SSH key", "x"),
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
    "/etc/dask-bake/head.env": ("a node's role", "x"),
    "/etc/dask-bake/no-notebook": ("a node's role", "x"),
    "/etc/dask-bake/preload/setup.py": ("a node's role", "x"),
    "/etc/dask-bake/tls/client.pem": ("a node's role", "x"),
    "/etc/ssh/sshd_config.d/40-dask-bake.conf": ("a node's role", "x"),
    "/etc/dask/dask-bake.yaml": ("a node's role", "x"),
    "/var/lib/dask-jupyter/token": ("a node's role", "x"),
}


def test_a_clean_image_passes(tree):
    done = run_script("90-clean.sh", tree, "--check-only")

    assert (done.returncode, done.stderr) == (0, "")


def named(kinds: dict[str, str]) -> str:
    """Return the message that names these files."""
    lines = "".join(sorted(f"{kind}: {path}\n" for path, kind in kinds.items()))
    return f"clean: these must not be in an image:\n{lines}"


def test_what_every_build_leaves_is_reported_if_it_is_not_removed(tree):
    for path in REMOVED:
        put(tree, path)
    done = run_script("90-clean.sh", tree, "--check-only")

    folders = dict.fromkeys(("/var/lib/cloud/instance", "/var/lib/cloud/instances"), "cloud-init state")
    caught_above = "/var/lib/cloud/instances/i-1/obj.pkl"
    kinds = {**REMOVED, **folders, "/var/tmp/dask-bake": "a leftover file"}
    assert (done.returncode, done.stderr) == (
        1,
        named({path: kinds[path] for path in kinds if path != caught_above}),
    )


def test_what_every_build_leaves_is_removed(tree):
    """Everything at once; packages and bytecode stay."""
    for path in REMOVED:
        put(tree, path)
    packages = sorted((tree / SITE).rglob("*"))
    done = run_script("90-clean.sh", tree)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted((tree / SITE).rglob("*")) == packages
    assert not (tree / PAYLOAD.lstrip("/")).exists()


def test_credentials_and_roles_end_the_build(tree):
    """Each file is named, and kept so that it can be examined."""
    for path, (_, text) in NAMED_ONLY.items():
        put(tree, path, text + "\n")
    done = run_script("90-clean.sh", tree)

    assert done.returncode == 1
    assert done.stderr == named({path: kind for path, (kind, _) in NAMED_ONLY.items()})
    assert all((tree / path.lstrip("/")).exists() for path in NAMED_ONLY)


def test_nothing_is_removed_from_a_machine_that_is_not_an_image(tree):
    """The script must not harm a machine where it is run by mistake."""
    put(tree, "root/.ssh/authorized_keys")
    (tree / "etc/dask-bake/manifest.json").unlink()
    done = run_script("90-clean.sh", tree)

    assert (done.returncode, done.stderr) == (
        1,
        "clean: this is not an image being baked; nothing is removed\n",
    )
    assert (tree / "root/.ssh/authorized_keys").exists()
