"""A machine with the Debian release that this machine does not run: a tree of it in its own namespaces.

It shares this machine's network and its settings of proxies, certificates, pip and apt. Its mounts and
processes end with the process that started it, even when that is killed.
"""

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dask_bake.local.storage.apt import host_options, host_sources
from dask_bake.models.debian import RELEASES, DebianRelease
from root import as_root, run_as_root

ROOT = Path("/var/lib/dask-bake-other")
"""Folder of caches between runs, and of the machine's writes while it runs."""
KEPT = {
    "pip": "/root/.cache/pip",
    "wheels": "/root/.cache/dask-bake/wheels",
    "cloud": "/var/lib/dask-bake",
}
"""Cached folders of ROOT, and their mount points in the machine."""
PACKAGES = ("ca-certificates", "git", "make", "python3", "sudo")
"""Packages of a machine before ``make setup``, which installs everything else."""
PATHS = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
HANDED_IN = ("PIP_", "SSL_CERT_", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
SETTINGS = ("/etc/pip.conf", "/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
REACHING = tuple(f"Acquire::{name}" for name in ("http", "https", "Check-", "Retries"))
"""apt settings about mirrors."""

ENTER_SCRIPT = """
set -eu
read -r pid _ </proc/self/stat
tree=$1 written=$2; shift 2
mkdir -p "$written/upper" "$written/work" "$written/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$written/upper,workdir=$written/work" overlay "$written/root"
cd "$written/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
while [ $# -gt 0 ]; do
    from=$2 to=.$3
    if [ ! "$from" -ef "$to" ]; then
        [ ! -L "$to" ] || rm "$to"
        if [ -d "$from" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}"; [ -e "$to" ] || : >"$to"; fi
        mount --bind -o "$1" "$from" "$to"
    fi
    shift 3
done
hostname other
mkdir -p .before
pivot_root . .before
cd /
umount -l .before
rmdir .before
echo "$pid"
cat >/dev/null
"""
"""First process of the machine: prints its pid once everything is mounted, ends at the end of its input."""


@dataclass(frozen=True)
class Machine:
    """A running machine."""

    pid: int
    environment: Mapping[str, str]

    def run(self, *command: str, folder: str = "/root", timeout: float = 300) -> str:
        """Return what the command printed.

        Raises:
            AssertionError: when it fails; the message has its output.
        """
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--ipc", "--uts", "--root"]
        settings = [f"{key}={value}" for key, value in self.environment.items()]
        began = time.monotonic()
        done = subprocess.run(
            [*as_root(), *enter, "env", "--ignore-environment", f"--chdir={folder}", *settings, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        print(f"{time.monotonic() - began:6.1f} s  {' '.join(command)}")
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


def other_release() -> DebianRelease:
    """Return the newest release that this machine does not run."""
    here = platform.freedesktop_os_release().get("VERSION_CODENAME")
    return next(release for release in reversed(RELEASES) if release.codename != here)


@contextmanager
def machine(
    release: DebianRelease, given: Sequence[tuple[Path, str]], scratch: Path, **environment: str
) -> Iterator[Machine]:
    """Run a machine for the duration of the block.

    Args:
        release: its release of Debian.
        given: files and folders of this machine that it sees read-only, each with the path there.
        scratch: an empty folder for its apt settings.
        environment: variables of its commands.
    """
    tree, written = make_tree(release), ROOT / "machine"
    handed = {**handed_in(os.environ), "LANG": "C.UTF-8", **PATHS, **environment}
    (scratch / "apt.conf").write_text(apt_settings())
    own = [(path, str(path)) for path in files_of(handed)]
    seen = [("ro", *each) for each in [*given, *own, (scratch / "apt.conf", "/etc/apt/apt.conf.d/99host")]]
    seen += [("rw", ROOT / name, place) for name, place in KEPT.items()]
    run_as_root("rm", "-rf", "--one-file-system", str(written))  # of a run that was killed
    run_as_root("mkdir", "-p", *(str(ROOT / name) for name in KEPT))
    words = [str(word) for each in seen for word in each]
    unshare = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    try:
        with subprocess.Popen(
            [*as_root(), *unshare, "bash", "-c", ENTER_SCRIPT, "machine", str(tree), str(written), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as first:
            assert first.stdin is not None
            assert first.stdout is not None
            pid = first.stdout.readline()
            assert pid, "the machine did not start"
            yield Machine(int(pid), handed)
            first.stdin.close()
            first.wait(timeout=60)
    finally:
        run_as_root("rm", "-rf", "--one-file-system", str(written))


def make_tree(release: DebianRelease) -> Path:
    """Return a tree of the release; build it if the recipe has changed."""
    recipe = [
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in host_options()),
        *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "man", "locale", "info")),
    ]
    sources = host_sources(release.codename)
    digest = hashlib.sha256(json.dumps([release.codename, recipe, sources]).encode()).hexdigest()
    tree = ROOT / f"tree-{digest[:17]}"
    if not tree.exists():
        run_as_root("sh", "-c", 'rm -rf "$1"/tree-* "$1"/draft; mkdir -p "$1"', "make", str(ROOT))
        run_as_root("mmdebstrap", *recipe, release.codename, str(ROOT / "draft"), *sources, timeout=3600)
        run_as_root("mv", str(ROOT / "draft"), str(tree))
    return tree


def handed_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for registries and certificates."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(HANDED_IN) or name.lower().endswith("_proxy")
    }


def files_of(environment: Mapping[str, str]) -> list[Path]:
    """Return the settings files, and the files that the variables name."""
    named = [Path(value) for name, value in environment.items() if name not in PATHS and value[:1] == "/"]
    return [path for path in (*map(Path, SETTINGS), *named) if path.exists()]


def apt_settings() -> str:
    """Return the lines of this machine's apt configuration about mirrors."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True)
    return "".join(line for line in dump.stdout.splitlines(keepends=True) if line.startswith(REACHING))
