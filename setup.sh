#!/usr/bin/env bash
# Installs the Debian packages that are missing, and nothing where none is.
set -euo pipefail

declare -A package_of=(
    [dnsmasq]=dnsmasq-base
    [ip]=iproute2
    [mmdebstrap]=mmdebstrap
    [nft]=nftables
    [packer]=packer
    [shellcheck]=shellcheck
    [ssh]=openssh-client
    [systemd-nspawn]=systemd-container
)
PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "dask-bake needs Python 3.11 or newer. Say which: make PYTHON=python3.12 …" >&2
    exit 2
}
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "Not installed, and this is no Debian: ${missing[*]}. What needs them is left out." >&2
    exit 0
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null && ! sudo -v; then
        echo "Not installed, and there is no root here to do it: ${missing[*]}. What needs them is left out." >&2
        exit 0
    fi
    root=(sudo)
fi
echo "installing Debian packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${root[@]}" apt-get update && "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    exit 1
fi
