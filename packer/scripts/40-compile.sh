#!/usr/bin/env bash
# The environment, made ready to be read: compiled, and without what nobody runs on a node.
set -euo pipefail

echo "PHASE: compile"
prefix=/opt/dask
owner=${SUDO_USER:-root}
site=$("$prefix/bin/python" -B -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# Of a conda package nothing is taken away: conda would miss it.
if [ ! -d "$prefix/conda-meta" ]; then
    rm -rf "$site"/pandas/tests "$site"/pyarrow/tests "$site"/pyarrow/include "$site"/numpy/_core/tests
fi
# A changed source is not expected in an image, so nothing is spent on looking for one. What is no Python of this
# version, such as a template, is none of ours to mend: 80-check says what must be compiled.
runuser -u "$owner" -- "$prefix/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    "$(dirname "$site")" >/dev/null || true

"$prefix/bin/dask" --version
