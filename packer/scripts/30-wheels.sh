#!/usr/bin/env bash
# Install the locked wheels, if the environment has any, into /opt/dask from the uploaded ones. Without conda packages,
# the environment is a virtual one of the base image's Python.
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
if ! "$prefix/bin/python" -B -c 'import pip' 2>/dev/null; then # -B: the owner could not replace root's bytecode
    pip=("$wheels"/pip-*.whl)
    pip=("${pip[0]}/pip")
fi
runuser -u "$owner" -- env HOME="$wheels" PYTHONDONTWRITEBYTECODE=1 "$prefix/bin/python" "${pip[@]}" install \
    --no-index --find-links "$wheels" --require-hashes --no-deps --no-compile \
    --no-cache-dir --disable-pip-version-check --quiet \
    --requirement "$payload/pip.lock"
rm -rf "$wheels"

"$prefix/bin/python" --version
