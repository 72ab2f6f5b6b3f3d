#!/usr/bin/env bash
# Compile the environment's packages, and remove what no node uses. dask-bake's own Python API is put on its path.
set -euo pipefail

echo "PHASE: compile"
prefix=/opt/dask
owner=${SUDO_USER:-root}
site=$("$prefix/bin/python" -B -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# Conda packages stay whole: conda knows their files.
if [ ! -d "$prefix/conda-meta" ]; then
    rm -rf "$site"/pandas/tests "$site"/pyarrow/tests "$site"/pyarrow/include "$site"/numpy/_core/tests
fi
# A dask-bake that the environment itself has comes first.
own=/usr/lib/dask-bake/python
printf '%s\n' "$own" | runuser -u "$owner" -- tee "$site/dask-bake.pth" >/dev/null
"$prefix/bin/python" -IBm compileall -q --invalidation-mode unchecked-hash "$own"
runuser -u "$owner" -- "$prefix/bin/python" -IB "$DASK_BAKE_PAYLOAD/compile_sources.py" "$(dirname "$site")"

"$prefix/bin/dask" --version
