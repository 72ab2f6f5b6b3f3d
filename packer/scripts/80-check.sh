#!/usr/bin/env bash
# The image judges itself, before it becomes one: whatever is not right here ends the build.
set -euo pipefail

echo "PHASE: check"
root=${DASK_BAKE_ROOT:-} # the tests judge a made-up tree
python=$root/opt/dask/bin/python

fail() {
    echo "check: $*" >&2
    exit 1
}

# What the base image has to bring. Each stage of cloud-init, whichever release it is, ends the node when it fails.
has_unit() {
    for folder in etc usr/lib lib; do
        if [ -e "$root/$folder/systemd/system/$1" ]; then return; fi
    done
    return 1
}
needed=(
    cloud-config.service cloud-config.target cloud-final.service cloud-init-local.service ssh.service
    systemd-networkd.service systemd-resolved.service
)
if has_unit cloud-init-main.service; then needed+=(cloud-init-network.service); else needed+=(cloud-init.service); fi
for unit in "${needed[@]}"; do
    has_unit "$unit" || fail "the base image has no $unit"
done
for path in "$root"/{usr/,}lib/systemd/system/cloud-{init*,config,final}.service; do
    unit=${path##*/}
    case $unit in *'*'* | cloud-init-hotplugd.service) continue ;; esac
    grep -qs '^OnFailure=dask-bake-failed@' "$root/etc/systemd/system/$unit.d/10-dask-bake.conf" ||
        fail "nothing ends a node whose $unit fails"
done

units=("$root"/etc/systemd/system/dask-*.service "$root"/etc/systemd/system/dask-*.socket)
if [ ! -e "$root/opt/dask/bin/jupyter-lab" ]; then # their condition keeps them from starting
    mapfile -t units < <(printf '%s\n' "${units[@]}" | grep -v /dask-jupyter)
fi
systemd-analyze verify --man=no "${units[@]}" || fail "a unit is not valid"
sshd -t || fail "sshd's configuration is not valid"

"$python" -IB - "$root$DASK_BAKE_PAYLOAD" "$root/etc/dask-bake" <<'PYTHON'
"""The manifest can be read, every locked package is installed in its version, and every source is compiled."""
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import struct
import sys
import sysconfig
import urllib.parse
import warnings
from pathlib import Path

payload, settings = Path(sys.argv[1]), Path(sys.argv[2])


def fail(what):
    sys.exit(f"check: {what}")


def text_of(path):
    return path.read_text() if path.exists() else ""


for path in settings.glob("*.env"):
    fail(f"{path} would give every node a role")
try:
    digest = json.loads((settings / "manifest.json").read_text())["digest"]
except (OSError, ValueError, KeyError, TypeError) as error:
    fail(f"{settings}/manifest.json is not a manifest: {type(error).__name__} {error}")
if not re.fullmatch("[0-9a-f]{64}", str(digest)):
    fail(f"{settings}/manifest.json has no digest, but {digest!r}")

if not text_of(settings / "user").strip():
    fail(f"{settings}/user does not say who logs in")

pip_lock, conda_lock = text_of(payload / "pip.lock"), text_of(payload / "conda.lock")
if not pip_lock and not conda_lock:
    fail(f"{payload} has neither pip.lock nor conda.lock")
for name, version in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", pip_lock, re.MULTILINE):
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        fail(f"{name} {version} of pip.lock is not installed")
    if found != version:
        fail(f"{name} is {found}, pip.lock says {version}")

# A lock may be for several platforms; its list for this one is what was installed.
machine = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}.get(platform.machine(), "")
section = re.search(rf"^ +{machine}:\n((?: +- .*\n)+)", conda_lock, re.MULTILINE)
urls = set(re.findall(r"- conda: (\S+)", section[1] if section else conda_lock))
files = {urllib.parse.unquote(url.split("#")[0].rpartition("/")[2]) for url in urls}
locked = {re.sub(r"\.(conda|tar\.bz2)$", "", name) for name in files}
if conda_lock and not locked:
    fail("conda.lock names no package")
installed = {path.stem for path in Path(sys.prefix, "conda-meta").glob("*.json")}
for package in sorted(locked - installed):
    others = [other for other in installed if other.rsplit("-", 2)[0] == package.rsplit("-", 2)[0]]
    fail(f"{package} of conda.lock is not installed{', but ' + others[0] if others else ''}")

warnings.simplefilter("ignore")


def compiles(source):
    """Whether Python can compile it at all: what cannot be is a template, or meant for another version."""
    try:
        compile(source.read_bytes(), source, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def is_used(header, source):
    """Whether Python takes this bytecode for the source's. What conda brings compiled has a time in it, for good."""
    if header[:8] == unchecked or not installed:
        return header[:8] == unchecked
    stat = os.stat(source)
    return header == timed + struct.pack("<LL", int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)


tag = sys.implementation.cache_tag
unchecked, timed = (importlib.util.MAGIC_NUMBER + struct.pack("<L", flags) for flags in (1, 0))
for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
    for folder, _, names in os.walk(site):
        for name in names:
            if not name.endswith(".py"):
                continue
            source, compiled = f"{folder}/{name}", f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc"
            try:
                with open(compiled, "rb") as file:
                    header = file.read(16)
            except FileNotFoundError:
                header = b""
            if not is_used(header, source) and compiles(Path(source)):
                fail(f"{source} is " + ("compiled, but not for good" if header else "not compiled"))
PYTHON

# As the user who needs it: what root alone can read is found here too.
runuser -u dask -- "$python" -IB "$root/usr/libexec/dask-bake/check-imports" || fail "not every package can be imported"

"$python" -IB - <<'PYTHON' || true
"""What the packages ask of each other, told and not judged: the lock is what was asked for."""
import importlib.metadata

try:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name
except ImportError:
    raise SystemExit  # dask brings it; whether dask is there was asked before

versions = {canonicalize_name(one.name): one.version for one in importlib.metadata.distributions()}
for one in importlib.metadata.distributions():
    for line in one.requires or ():
        try:
            needed = Requirement(line)
        except InvalidRequirement:
            continue
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        found = versions.get(canonicalize_name(needed.name))
        if found is None or not needed.specifier.contains(found, prereleases=True):
            print(f"remark: {one.name} {one.version} asks for {needed.name}{needed.specifier}; there is {found}")
PYTHON
