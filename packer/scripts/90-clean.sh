#!/usr/bin/env bash
# Remove what must not be in an image, such as keys, identities, logs and caches, and verify that nothing remains.
# Credentials are not removed but end the build: a bake must never bring any.
set -euo pipefail
shopt -s nullglob dotglob

echo "PHASE: clean"
root=${DASK_BAKE_ROOT:-} # tests set it to a folder
payload=$root$DASK_BAKE_PAYLOAD
homes=("$root/root" "$root"/home/* "$root/var/lib/dask")

test -e "$root/etc/dask-bake/manifest.json" || {
    echo "clean: this is not an image being baked; nothing is removed" >&2
    exit 1
}

remove() {
    # These services would write a seed at shutdown, and to the journal on disk.
    systemctl --quiet stop systemd-random-seed.service
    journalctl --quiet --relinquish-var
    cloud-init clean --logs --seed --machine-id
    : >"$root/etc/machine-id"
    echo localhost >"$root/etc/hostname"
    # It names the hardware address of this instance; cloud-init writes one on each node.
    rm -f "$root/etc/netplan/50-cloud-init.yaml"
    rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_* "$root/var/lib/systemd/random-seed"
    for home in "${homes[@]}"; do
        rm -f "$home"/.ssh/authorized_keys* "$home"/.ssh/known_hosts* "$home"/.*history "$home"/.*hst "$home/.viminfo"
        rm -rf "$home/.cache" "$home/.ipython" "$home/.rattler/cache" "$home/.conda/pkgs" "$home/dask-scratch-space"
    done
    rm -rf "$root/opt/dask/pkgs" "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/{*.deb,partial/*}
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/lib/dhcp/* "$root"/var/log/journal/* "$root"/run/log/journal/*
    find "$root/var/log" -type f \( -name '*.gz' -o -name '*.[0-9]' \) -delete
    find "$root/var/log" -type f -size +0 -exec truncate --size 0 {} +
    find "$root/var/tmp" -mindepth 1 -delete
    rm -rf "$payload" "$root/var/lib/dask-bake"
}

# Print the remaining files of a kind, one per line.
find_kind() {
    local kind=$1
    shift
    "$@" 2>/dev/null | sed "s|^$root|$kind: |" || true
}

# Print the files of a kind that contain the pattern.
find_text() {
    local kind=$1 pattern=$2
    shift 2
    find_kind "$kind" find "$@" -type f -exec grep -lE "$pattern" {} +
}

remaining() {
    local places=("$root"/etc "$root"/home "$root"/root "$root"/srv "$root"/tmp "$root"/var "$root"/opt)
    local anywhere=(find "${places[@]}" -path "$root/opt/dask/*" -prune -o)
    local in_homes=(find "${homes[@]}" -type f)

    find_kind "an authorized SSH key" "${anywhere[@]}" -name 'authorized_keys*' -print
    find_kind "an SSH host key" find "$root/etc/ssh" -name 'ssh_host_*'
    find_kind "a machine identity" find "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" -type f -size +0
    find_kind "a machine identity" find "$root"/var/lib/systemd/random-seed "$root"/var/lib/dhcp -type f
    find_kind "a machine identity" find "$root/etc/netplan" -name 50-cloud-init.yaml
    find_kind "a command history" "${anywhere[@]}" \( -name '.*history' -o -name '.*hst' -o -name .viminfo \
        -o -name 'history.sqlite*' \) -print
    find_kind "a private key" "${in_homes[@]}" \( -name '*.pem' -o -name '*.ppk' -o -name '*.key' -o -name 'id_*' \)
    find_kind "credentials" "${anywhere[@]}" -type f \( -path '*/.aws/*' -o -path '*/.docker/config.json' -o -name .netrc \
        -o -name .git-credentials -o -name .pypirc -o -path '*/.rattler/credentials.json' -o -path '*/.boto' \
        -o -path '*/.config/gcloud/*' -o -path '*/.azure/*' -o -path '*/.kube/config' \) -print
    # Configuration files may be in an image, but no password or token in them.
    local url='://[^/@:[:space:]"]*:[^/@[:space:]"]+@|://[^/[:space:]"]+/t/[^/[:space:]"]+/' aws='AWS_SECRET_ACCESS_KEY|aws_secret_access_key'
    find_text "a password or token" "$url|://[^/@]+@|token|password|$aws" "${homes[@]}" "$root/etc" \
        "$root/opt/dask" -maxdepth 4 \( -name '*condarc' -o -name pip.conf -o -name .env -o -name environment \)
    find_text "a password or token" "$url|$aws" "$root/etc/dask-bake" "$root/opt/dask/conda-meta"
    find_kind "a node's role" find "$root"/etc/dask-bake/{*.env,no-notebook,preload,tls} "$root"/etc/dask/dask-bake.yaml \
        "$root"/etc/ssh/sshd_config.d/40-dask-bake.conf "$root"/var/lib/dask-jupyter/token -type f
    find_kind "cloud-init state" find "$root/var/lib/cloud" \( -name 'instance*' -o -name 'user-data*' -o -name sem \
        -o -name 'vendor-data*' \)
    find_kind "a log" find "$root/var/log" -type f -size +0 ! -name wtmp ! -name btmp ! -name lastlog
    find_kind "a cache" find "${homes[@]}" -type f \( -path '*/.cache/*' -o -path '*/.rattler/cache/*' \
        -o -path '*/.conda/pkgs/*' \)
    find_kind "a cache" find "$root/opt/dask/pkgs" "$root/var/cache/apt" "$root/var/lib/apt/lists" -type f \
        ! -name lock
    find_kind "a leftover file" find "$payload" "$root/var/tmp" -mindepth 1 ! -path '*/systemd-private-*'
}

test "${1-}" = --check-only || remove
left=$(remaining | sort -u)
if [ -n "$left" ]; then
    echo "clean: these must not be in an image:" >&2
    echo "$left" >&2
    exit 1
fi
sync
