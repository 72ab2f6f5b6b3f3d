#!/usr/bin/env bash
# Set the environment's own variables, if it has any, for sessions and services alike.
set -euo pipefail

root=${DASK_BAKE_ROOT:-} # tests set it to a folder
variables=$root$DASK_BAKE_PAYLOAD/variables.env
test -e "$variables" || exit 0
echo "PHASE: set variables"
cat "$variables" >>"$root/etc/environment"
