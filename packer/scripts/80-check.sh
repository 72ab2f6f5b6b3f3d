#!/usr/bin/env bash
# The image judges itself, before it becomes one: whatever is not right here ends the build.
set -euo pipefail

echo "PHASE: check"
root=${DASK_BAKE_ROOT:-} # the tests judge a made-up tree
payload=$root$DASK_BAKE_PAYLOAD
python=$root/opt/dask/bin/python

fail() {
    echo "check: $*" >&2
    exit 1
}

# What the base image has to bring. Each stage of cloud-init, whichever release it is, ends the node when it fails.
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
        fail "nothing ends a node whose $unit fails"
done

units=("$root"/etc/systemd/system/dask-*.service "$root"/etc/systemd/system/dask-*.socket)
if [ ! -e "$root/opt/dask/bin/jupyter-lab" ]; then # their condition keeps them from starting
    mapfile -t units < <(printf '%s\n' "${units[@]}" | grep -v /dask-jupyter)
fi
systemd-analyze verify --man=no "${units[@]}" || fail "a unit is not valid"
sshd -t || fail "sshd's configuration is not valid"

"$python" -IB "$payload/check_environment.py" "$payload" "$root/etc/dask-bake"

# As the user who needs it: what root alone can read is found here too.
runuser -u dask -- "$python" -IB "$root/usr/libexec/dask-bake/check-imports" || fail "not every package can be imported"

"$python" -IB "$payload/report_requirements.py" || true
