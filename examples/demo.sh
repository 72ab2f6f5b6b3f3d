#!/usr/bin/env bash
# Bake, launch and compute on this machine, without an AWS account. Run again, it uses the image and the cluster that
# exist.
set -euo pipefail

here=$(dirname "$0")
dask_bake=${1:-dask-bake}
# Even if there are AWS credentials, so that it costs nothing.
export DASK_BAKE_CLOUD=local

say() { printf '\n== %s\n   %s\n' "$1" "$2"; }

say "Bake an image with Packer" "$dask_bake bake --installer auto"
"$dask_bake" bake --installer auto

if ! "$dask_bake" status demo >/dev/null 2>&1; then
    say "Launch a head and two workers with two processes each" "$dask_bake launch demo --count 3 --nprocs 2"
    "$dask_bake" launch demo --count 3 --nprocs 2
fi

say "Read and average a year of taxi rides" "examples/nyc_taxi.py"
"$dask_bake" ssh demo -- python - <"$here/nyc_taxi.py"

cat <<EOF

== The cluster stays up. Now you can
  look inside      $dask_bake ssh demo --cloud local
                   ipython, and: from distributed import Client; c = Client()
  dashboard        $dask_bake connect demo --cloud local
  end it           $dask_bake down demo --cloud local
  stop the cloud   $dask_bake local down
EOF
