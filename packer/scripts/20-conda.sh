#!/usr/bin/env bash
# conda's packages, where the environment has such: /opt/dask, exactly the locked ones, linked by rattler from the
# archives that were brought along. They belong to the login user, so that conda works for him on a node.
set -euo pipefail

payload=$DASK_BAKE_PAYLOAD
test -e "$payload/conda.tar" || exit 0
echo "PHASE: install conda packages"
prefix=/opt/dask
owner=${SUDO_USER:-root}
work=/var/tmp/dask-bake-conda

rm -rf "$prefix" "$work"
install -d -o "$owner" -m 0755 "$prefix" "$work" "$work/archives" "$work/rattler"
tar --extract --no-same-owner --file "$payload/conda.tar" --directory "$work/archives"
tar --extract --no-same-owner --file "$payload/rattler.tar" --directory "$work"
rm "$payload/conda.tar" "$payload/rattler.tar"
python3 -m zipfile --extract "$work"/py_rattler-*.whl "$work/rattler"

runuser -u "$owner" -- env HOME="$work" PYTHONPATH="$work/rattler" PYTHONDONTWRITEBYTECODE=1 \
    python3 - "$payload/conda.lock" "$work" "$prefix" <<'PYTHON'
"""Every archive of the lock is verified and linked into the prefix; conda is told where it came from."""
import asyncio
import hashlib
import json
import pathlib
import sys

import rattler

lock, work, prefix = map(pathlib.Path, sys.argv[1:])
environment = rattler.LockFile.from_path(lock).default_environment()
here = str(rattler.Subdir.current())
platform = next(each for each in environment.platforms() if each.name == here)
records = environment.conda_repodata_records_for_platform(platform)
origins = {}
for record in records:
    archive = work / "archives" / record.file_name
    with archive.open("rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != record.sha256:
            sys.exit(f"{record.file_name} is not the package that is locked")
    origins[record.file_name] = record.url
    record.url = archive.as_uri()

linking = rattler.install(
    records, prefix, cache_dir=work / "cache", show_progress=False, execute_link_scripts=True
)
asyncio.run(linking)

for meta in (prefix / "conda-meta").glob("*.json"):
    record = json.loads(meta.read_text())
    record["url"] = origins[record["fn"]]
    meta.write_text(json.dumps(record, indent=2))
    meta.chmod(0o644)  # rattler's are the owner's alone
(prefix / "conda-meta" / "history").touch()
PYTHON
rm -rf "$work"

# What activating the environment sets, for sessions and services alike.
# shellcheck disable=SC2016  # the inner shell's own variables
activated=$(env -i PATH="$prefix/bin:/usr/bin:/bin" CONDA_PREFIX="$prefix" CONDA_DEFAULT_ENV="$prefix" bash -c '
    for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do test -e "$script" && . "$script"; done
    env' | grep -vE '^(PATH|PWD|OLDPWD|SHLVL|_)=')
printf '%s\n' "$activated" >>/etc/environment

"$prefix/bin/python" --version
