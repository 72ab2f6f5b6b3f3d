#!/usr/bin/env bash
# Verify the instance before an image is made of it. Any problem ends the build.
set -euo pipefail

echo "PHASE: check"
root=${DASK_BAKE_ROOT:-} # tests set it to a folder
payload=$root$DASK_BAKE_PAYLOAD
python=$root/opt/dask/bin/python

fail() {
    echo "check: $*" >&2
    exit 1
}

# The base image has the units that nodes need, and every cloud-init stage of its release powers a failed node off.
has_unit() {
    for folder in etc usr/lib lib; do
        if [ -e "$root/$folder/systemd/system/$1" ]; then return; fi
    done
    return 1
}
needed=(
    cloud-config.service cloud-config.target cloud-final.service cloud-init-local.service ssh.service
    systemd-networkd.service systemd-resolved.service
)
if has_unit cloud-init-main.service; then needed+=(cloud-init-network.service); else needed+=(cloud-init.service); fi
for unit in "${needed[@]}"; do
    has_unit "$unit" || fail "the base image has no $unit"
done
for path in "$root"/{usr/,}lib/systemd/system/cloud-{init*,config,final}.service; do
    unit=${path##*/}
    case $unit in *'*'* | cloud-init-hotplugd.service) continue ;; esac
    grep -qs '^OnFailure=dask-bake-failed@' "$root/etc/systemd/system/$unit.d/10-dask-bake.conf" ||
        fail "a node whose $unit fails would not power off"
done

units=("$root"/etc/systemd/system/dask-*.{service,socket,timer})
if [ ! -e "$root/opt/dask/bin/jupyter-lab" ]; then # without it they never start (ConditionPathExists)
    mapfile -t units < <(printf '%s\n' "${units[@]}" | grep -v /dask-jupyter)
fi
systemd-analyze verify --man=no "${units[@]}" || fail "a unit is invalid"
sshd -t || fail "sshd's configuration is invalid"

"$python" -IB "$payload/check_environment.py" "$payload" "$root/etc/dask-bake"

# As the user of the services, so that files which only root can read are found too.
runuser -u dask -- "$python" -IB "$root/usr/libexec/dask-bake/check-imports" || fail "some packages cannot be imported"

"$python" -IB "$payload/report_requirements.py" || true
