#!/usr/bin/env bash
# Install the root file system and the users, and disable what a node does not need at boot.
set -euo pipefail

echo "PHASE: configure the system"
tar --extract --no-same-owner --file "$DASK_BAKE_PAYLOAD/rootfs.tar" --directory /

id dask >/dev/null 2>&1 || useradd --system --home-dir /var/lib/dask --shell /usr/sbin/nologin dask
install -d -o dask -g dask -m 0755 /var/lib/dask
install -d -m 0755 /etc/dask-bake
install -m 0644 "$DASK_BAKE_PAYLOAD/manifest.json" /etc/dask-bake/manifest.json
printf '%s\n' "${SUDO_USER:-root}" >/etc/dask-bake/user

needed=(
    dask-bake-credentials.socket dask-bake-host-key.service dask-bake-host-key-again.service dask-bake-lifetime.timer
    dask-bake-watch.service dask-jupyter.socket dask-scheduler.service dask-worker.service
)
systemctl daemon-reload
systemctl --quiet enable "${needed[@]}" systemd-networkd.service

unneeded=(
    apt-daily.service apt-daily.timer apt-daily-upgrade.service apt-daily-upgrade.timer
    console-getty.service dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    getty@tty1.service man-db.timer serial-getty@ttyS0.service systemd-networkd-wait-online.service
    systemd-update-utmp-runlevel.service unattended-upgrades.service
)
systemctl --quiet mask "${unneeded[@]}"

# Verify that the units are enabled.
systemctl --quiet is-enabled "${needed[@]}"
