#!/usr/bin/env bash
# What must not be in an image: identities, keys, traces, caches. The build fails if one of them remains.
set -euo pipefail

echo "PHASE: clean"
rm -rf "$DASK_BAKE_PAYLOAD"
cloud-init clean --logs --seed --machine-id
: >/etc/machine-id
echo localhost >/etc/hostname
rm -f /var/lib/dbus/machine-id /etc/ssh/ssh_host_*
rm -f /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
rm -f /root/.*history /home/*/.*history
rm -rf /root/.cache /home/*/.cache /var/lib/dask/.cache
rm -rf /var/log/journal/* /run/log/journal/* /var/lib/dhcp/* /var/lib/systemd/random-seed
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
find /var/log -type f -exec truncate --size 0 {} +
find /var/tmp -mindepth 1 -delete

remaining=$(
    find /root /home -name authorized_keys -size +0
    find /root /home -name '.*history'
    find /root /home \( -path '*/.aws/*' -o -name .netrc -o -name .condarc \)
    find /etc/ssh -name 'ssh_host_*'
    find /etc/machine-id -size +0
    find /var/lib/cloud -name 'user-data*'
)
if [ -n "$remaining" ]; then
    echo "clean: these must not be in an image:" "$remaining" >&2
    exit 1
fi
sync
