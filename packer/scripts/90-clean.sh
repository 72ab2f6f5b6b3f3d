#!/usr/bin/env bash
# What must not be in an image: identities, keys, traces, caches. The build fails if one of them remains.
# What every build leaves is removed; credentials are not, as nobody should have brought any: those end the build.
set -euo pipefail
shopt -s nullglob dotglob

echo "PHASE: clean"
root=${DASK_BAKE_ROOT:-} # the tests judge a made-up tree
payload=$root$DASK_BAKE_PAYLOAD
homes=("$root/root" "$root"/home/* "$root/var/lib/dask")

test -e "$root/etc/dask-bake/manifest.json" || {
    echo "clean: this is no image being baked, so nothing is removed from it" >&2
    exit 1
}

remove() {
    # A service that is running would write its seed again at shutdown; a journal on disk would go on.
    systemctl --quiet stop systemd-random-seed.service
    journalctl --quiet --relinquish-var
    cloud-init clean --logs --seed --machine-id
    : >"$root/etc/machine-id"
    echo localhost >"$root/etc/hostname"
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
    rm -rf "$payload"
}

# Prints what is left of a kind, a path a line.
judge() {
    local kind=$1
    shift
    "$@" 2>/dev/null | sed "s|^$root|$kind: |" || true
}

# The same, for the files among these that have the pattern in them.
judge_text() {
    local kind=$1 pattern=$2
    shift 2
    judge "$kind" find "$@" -type f -exec grep -lE "$pattern" {} +
}

remaining() {
    local places=("$root"/etc "$root"/home "$root"/root "$root"/srv "$root"/tmp "$root"/var "$root"/opt)
    local anywhere=(find "${places[@]}" -path "$root/opt/dask/*" -prune -o)
    local in_homes=(find "${homes[@]}" -type f)

    judge "a key that opens the node" "${anywhere[@]}" -name 'authorized_keys*' -print
    judge "a host key" find "$root/etc/ssh" -name 'ssh_host_*'
    judge "an identity" find "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" -type f -size +0
    judge "an identity" find "$root"/var/lib/systemd/random-seed "$root"/var/lib/dhcp -type f
    judge "a history" "${anywhere[@]}" \( -name '.*history' -o -name '.*hst' -o -name .viminfo \
        -o -name 'history.sqlite*' \) -print
    judge "a private key" "${in_homes[@]}" \( -name '*.pem' -o -name '*.ppk' -o -name '*.key' -o -name 'id_*' \)
    judge "credentials" "${anywhere[@]}" -type f \( -path '*/.aws/*' -o -path '*/.docker/config.json' -o -name .netrc \
        -o -name .git-credentials -o -name .pypirc -o -path '*/.rattler/credentials.json' -o -path '*/.boto' \
        -o -path '*/.config/gcloud/*' -o -path '*/.azure/*' -o -path '*/.kube/config' \) -print
    # Settings may be in an image, but not with a password or a token in them.
    local url='://[^/@:[:space:]"]*:[^/@[:space:]"]+@|://[^/[:space:]"]+/t/[^/[:space:]"]+/' aws='AWS_SECRET_ACCESS_KEY|aws_secret_access_key'
    judge_text "a password or token" "$url|://[^/@]+@|token|password|$aws" "${homes[@]}" "$root/etc" \
        "$root/opt/dask" -maxdepth 4 \( -name '*condarc' -o -name pip.conf -o -name .env -o -name environment \)
    judge_text "a password or token" "$url|$aws" "$root/etc/dask-bake" "$root/opt/dask/conda-meta"
    judge "a role" find "$root"/etc/dask-bake/{*.env,no-notebook,preload,tls} "$root"/etc/dask/dask-bake.yaml \
        "$root"/etc/ssh/sshd_config.d/40-dask-bake.conf "$root"/var/lib/dask-jupyter/token -type f
    judge "of cloud-init" find "$root/var/lib/cloud" \( -name 'instance*' -o -name 'user-data*' -o -name sem \
        -o -name 'vendor-data*' \)
    judge "a log" find "$root/var/log" -type f -size +0 ! -name wtmp ! -name btmp ! -name lastlog
    judge "a cache" find "${homes[@]}" -type f \( -path '*/.cache/*' -o -path '*/.rattler/cache/*' \
        -o -path '*/.conda/pkgs/*' \)
    judge "a cache" find "$root/opt/dask/pkgs" "$root/var/cache/apt" "$root/var/lib/apt/lists" -type f \
        ! -name lock
    judge "a leftover" find "$payload" "$root/var/tmp" -mindepth 1 ! -path '*/systemd-private-*'
}

test "${1-}" = --judge || remove
left=$(remaining | sort -u)
if [ -n "$left" ]; then
    echo "clean: these must not be in an image:" >&2
    echo "$left" >&2
    exit 1
fi
sync
