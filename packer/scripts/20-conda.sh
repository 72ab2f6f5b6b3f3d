#!/usr/bin/env bash
# Install the locked conda packages, if the environment has any, into /opt/dask: rattler links them from the uploaded
# archives. They belong to the login user, so that conda works on a node without root.
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
    python3 "$payload/install_conda_packages.py" "$payload/conda.lock" "$work" "$prefix"
rm -rf "$work"

# Set what activating the environment sets, for sessions and services alike.
# shellcheck disable=SC2016  # the inner shell's own variables
activated=$(env -i PATH="$prefix/bin:/usr/bin:/bin" CONDA_PREFIX="$prefix" CONDA_DEFAULT_ENV="$prefix" bash -c '
    for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do test -e "$script" && . "$script"; done
    env' | grep -vE '^(PATH|PWD|OLDPWD|SHLVL|_)=')
printf '%s\n' "$activated" >>/etc/environment

"$prefix/bin/python" --version
