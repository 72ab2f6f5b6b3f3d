#!/usr/bin/env bash
# The environment: /opt/dask, exactly the locked packages, from the wheels that were brought along.
set -euo pipefail

echo "PHASE: install the environment"
payload=$DASK_BAKE_PAYLOAD
wheels=$payload/wheels
environment=/opt/dask

mkdir -p "$wheels"
tar --extract --file "$payload/wheels.tar" --directory "$wheels"
rm "$payload/wheels.tar"

rm -rf "$environment"
python3 -m venv --without-pip "$environment"
pip=("$wheels"/pip-*.whl)
"$environment/bin/python" "${pip[0]}/pip" install \
    --no-index --find-links "$wheels" --require-hashes --no-deps --no-compile \
    --no-cache-dir --disable-pip-version-check --quiet \
    --requirement "$payload/pip.lock"
rm -rf "$wheels"

# What nobody runs on a node, and every node would have to load.
site=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$site"/pandas/tests "$site"/pyarrow/tests "$site"/pyarrow/include "$site"/numpy/_core/tests

echo "PHASE: compile"
# A changed source is not expected in an image, so nothing is spent on looking for one.
"$environment/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$site"

"$environment/bin/dask" --version
