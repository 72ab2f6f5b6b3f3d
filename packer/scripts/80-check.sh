#!/usr/bin/env bash
# The image judges itself, before it becomes one: whatever is not right here ends the build.
set -euo pipefail

echo "PHASE: check"
python=/opt/dask/bin/python

fail() {
    echo "check: $*" >&2
    exit 1
}

systemd-analyze verify --man=no /etc/systemd/system/dask-*.service /etc/systemd/system/dask-*.socket ||
    fail "a unit is not valid"

"$python" - "$DASK_BAKE_PAYLOAD/pip.lock" <<'PYTHON'
"""Every locked package is installed in its version, and what people import can be imported."""
import importlib
import importlib.metadata
import pathlib
import sys

wanted = (line.split()[0].split("==") for line in open(sys.argv[1]) if "==" in line)
for name, version in wanted:
    found = importlib.metadata.version(name)
    if found != version:
        sys.exit(f"check: {name} is {found}, locked is {version}")

for name in ("bokeh", "dask.array", "dask.dataframe", "distributed", "IPython", "jupyterlab", "numpy", "pandas",
             "pyarrow", "s3fs"):
    module = importlib.import_module(name)
    if not pathlib.Path(importlib.util.cache_from_source(module.__file__)).exists():
        sys.exit(f"check: {name} is not compiled")
PYTHON

runuser -u dask -- "$python" -c 'import distributed' || fail "the user dask cannot use the environment"
sshd -t || fail "sshd's configuration is not valid"
test -s /etc/dask-bake/manifest.json || fail "the manifest is missing"
