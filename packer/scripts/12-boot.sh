#!/usr/bin/env bash
# Take out of the boot what Debian's images for EC2 wait for and no node needs: profiles of AppArmor, which confine none
# of a node's services; foreign binary formats; the EFI partition, which is mounted when something opens it.
set -euo pipefail

root=${DASK_BAKE_ROOT:-} # tests set it to a folder
efi='[^#[:space:]]+[[:space:]]+/boot/efi[[:space:]]+[^[:space:]]+[[:space:]]+'
on_demand=noauto,x-systemd.automount

systemctl --quiet mask apparmor.service proc-sys-fs-binfmt_misc.automount systemd-binfmt.service

if [ -e "$root/etc/fstab" ]; then
    sed -E -i "/$on_demand/! s#^(${efi}[^[:space:]]+)#\1,$on_demand#" "$root/etc/fstab"
    if grep -E "^$efi" "$root/etc/fstab" | grep -v "$on_demand" >&2; then exit 1; fi
fi
