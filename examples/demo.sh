#!/usr/bin/env bash
# The whole of it on this machine, without an AWS account: bake, launch, compute. Run again, it bakes nothing and
# computes on the cluster that is there.
set -euo pipefail

here=$(dirname "$0")
dask_bake=${1:-dask-bake}
# Also where there are AWS credentials: this costs nothing.
export DASK_BAKE_CLOUD=local

say() { printf '\n== %s\n   %s\n' "$1" "$2"; }

say "an image, baked by Packer" "$dask_bake bake --installer auto"
"$dask_bake" bake --installer auto

if ! "$dask_bake" status demo >/dev/null 2>&1; then
    say "a head and two workers of two processes" "$dask_bake launch --name demo --count 3 --nprocs 2"
    "$dask_bake" launch --name demo --count 3 --nprocs 2
fi

say "a year of taxi rides, read and averaged by all of them" "examples/nyc_taxi.py"
"$dask_bake" ssh --name demo -- python - <"$here/nyc_taxi.py"

cat <<EOF

== the cluster stays up; now you
  look inside      $dask_bake ssh --name demo --cloud local
                   ipython, and: from distributed import Client; c = Client()
  dashboard        $dask_bake connect demo --cloud local
  take it down     $dask_bake down demo --cloud local
  and the cloud    $dask_bake local down
EOF
