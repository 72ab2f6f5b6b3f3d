#!/usr/bin/env bash
# Wheels, where the environment has such: in /opt/dask, exactly the locked ones, from those that were brought along.
# Without conda the environment is one of the base image's Python.
set -euo pipefail

payload=$DASK_BAKE_PAYLOAD
test -e "$payload/wheels.tar" || exit 0
echo "PHASE: install wheels"
prefix=/opt/dask
owner=${SUDO_USER:-root}
wheels=/var/tmp/dask-bake-wheels

rm -rf "$wheels"
install -d -o "$owner" -m 0755 "$wheels"
tar --extract --no-same-owner --file "$payload/wheels.tar" --directory "$wheels"
rm "$payload/wheels.tar"

if [ ! -d "$prefix/conda-meta" ]; then
    wanted=$(sed -n 's/^# python: //p' "$payload/pip.lock")
    found=$(python3 -c 'import platform; print(platform.python_version())')
    if [ "${found%.*}" != "${wanted%.*}" ]; then
        echo "wheels: pip.lock is for Python $wanted, the base image has $found: choose another --base" >&2
        exit 1
    fi
    rm -rf "$prefix"
    install -d -o "$owner" -m 0755 "$prefix"
    runuser -u "$owner" -- python3 -m venv --without-pip "$prefix"
fi
pip=(-m pip)
if ! "$prefix/bin/python" -B -c 'import pip' 2>/dev/null; then # -B: root's caches would be in the owner's way
    pip=("$wheels"/pip-*.whl)
    pip=("${pip[0]}/pip")
fi
runuser -u "$owner" -- env HOME="$wheels" PYTHONDONTWRITEBYTECODE=1 "$prefix/bin/python" "${pip[@]}" install \
    --no-index --find-links "$wheels" --require-hashes --no-deps --no-compile \
    --no-cache-dir --disable-pip-version-check --quiet \
    --requirement "$payload/pip.lock"
rm -rf "$wheels"

"$prefix/bin/python" --version
