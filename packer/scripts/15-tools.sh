#!/usr/bin/env bash
# Install programs for people on a node, as far as the base image lacks them. Debian's archive need not be reachable.
set -euo pipefail

declare -A packages=([git]=git [curl]=curl [less]=less [tmux]=tmux [vi]=vim-tiny [rsync]=rsync)
# dot draws task graphs. conda's package of it is a part of the environment, pip's is only its Python side.
if grep --quiet --no-messages '^graphviz==' "$DASK_BAKE_PAYLOAD/pip.lock"; then packages[dot]=graphviz; fi
missing=()
for program in "${!packages[@]}"; do
    command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

echo "PHASE: install tools"
export DEBIAN_FRONTEND=noninteractive
options=(
    -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 -o DPkg::Lock::Timeout=60
)
if ! timeout 60 apt-get "${options[@]}" update ||
    ! timeout 300 apt-get "${options[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null; then
    timeout 60 dpkg --configure --pending
    echo "note: the image is without ${missing[*]}, as Debian's archive cannot be reached from here"
fi
