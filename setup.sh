#!/usr/bin/env bash
# Install the Debian packages and the Packer that are missing. macOS's bash 3.2 runs it too.
set -euo pipefail

export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
python=${PYTHON:-python3}
# dask-bake and the Makefile look here, after PATH.
packer_folder=${XDG_CACHE_HOME:-$HOME/.cache}/dask-bake/packer/bin
packer_release=bookworm # Debian's last release with a package of it
packer_elsewhere="HashiCorp's is at https://developer.hashicorp.com/packer/install. What needs Packer is left out."

has() { command -v "$1" >/dev/null; }

has_packer() { has packer || [ -x "$packer_folder/packer" ]; }

check_python() {
    if has "$python"; then
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && return
    elif [ -z "${PYTHON:-}" ]; then
        return # python3-venv brings it
    fi
    echo "dask-bake needs Python 3.11 or newer. Say which: make PYTHON=python3.12 …" >&2
    exit 2
}

missing_packages() {
    while read -r program package; do
        has "$program" || printf ' %s' "$package"
    done <<END
chromedriver chromium-driver
chromium chromium
dnsmasq dnsmasq-base
ip iproute2
mmdebstrap mmdebstrap
nft nftables
rsync rsync
shellcheck shellcheck
ssh openssh-client
systemd-nspawn systemd-container
END
    "$python" -c 'import ensurepip, venv' 2>/dev/null || printf ' python3-venv'
}

can_be_root() { [ "$(id -u)" -eq 0 ] || { has sudo && { sudo -n true 2>/dev/null || sudo -v; }; }; }

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
    # A source that fails may be one that none of these packages comes from.
    as_root apt-get update >"$work/log" 2>&1 || true
    packages=$missing
    # awk reads all of it: a reader that stops early makes apt-cache fail.
    if ! has_packer && [ -n "$(apt-cache policy packer | awk '/Candidate: [^(]/ { print $2 }')" ]; then
        packages="$packages packer"
    fi
    [ -n "$packages" ] || return 0
    echo "installing Debian packages:$packages"
    # shellcheck disable=SC2086 # each word is a package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages \
        >>"$work/log" 2>&1
}

# Get Packer from the mirror that this machine's apt uses. apt keeps its state in $work: the system gets neither a
# source nor a package.
fetch_packer() {
    for keyring in /usr/share/keyrings/debian-archive-keyring.[gp][gp][gp] ''; do
        [ ! -e "$keyring" ] || break
    done
    # shellcheck disable=SC2016 # apt replaces these
    mirrors=$(apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F '|' '$1 == "Debian" && $2 == "main" && $3 !~ /-/ && !seen[$4]++ { print $4 }')
    reason="apt has no Debian mirror here"
    [ -n "$keyring" ] || mirrors=
    configure_apt
    for mirror in $mirrors; do
        echo "installing Debian's Packer of $packer_release in $packer_folder"
        echo "deb [signed-by=$keyring arch=$(dpkg --print-architecture) target=Packages] $mirror $packer_release main" \
            >"$work/sources.list"
        if apt_apart update && (cd "$work/deb" && apt_apart download packer); then
            unpack_packer
            return
        fi
        reason=$(sed -n '/^E: /{ s///; s/\.$//; p; q; }' "$work/log")
    done
    echo "Packer is not installed: ${reason:-apt-get failed}. $packer_elsewhere" >&2
}

apt_apart() { apt-get --config-file "$work/apt.conf" "$@" >"$work/log" 2>&1; }

# The machine's proxies and certificates stay in force; what it says of sources and releases does not.
configure_apt() {
    cat >"$work/apt.conf" <<END
Dir::State "$work";
Dir::State::Lists "$work/lists";
Dir::Cache "$work";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Default-Release "";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
    mkdir "$work/lists" "$work/deb"
    chmod 711 "$work"
    # Root's apt downloads as a user of its own.
    [ "$(id -u)" -ne 0 ] || chown _apt "$work/lists" "$work/deb" 2>/dev/null || true
}

unpack_packer() {
    dpkg-deb --extract "$work"/deb/packer_*.deb "$work/unpacked"
    mkdir -p "$packer_folder"
    # It is there whole or not at all, also when two do this at the same time.
    cp "$work/unpacked/usr/bin/packer" "$packer_folder/packer.$$"
    mv -f "$packer_folder/packer.$$" "$packer_folder/packer"
}

check_python
missing=$(missing_packages)
if [ -z "$missing" ] && has_packer; then
    exit 0
fi
if ! has apt-get || ! has dpkg-deb; then
    [ -z "$missing" ] || echo "Not installed, and this is not Debian:$missing. What needs them is left out." >&2
    has_packer || echo "Packer is not installed. $packer_elsewhere" >&2
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! can_be_root; then
    [ -z "$missing" ] || echo "Not installed, and there is no root here to do it:$missing. What needs them is left out." >&2
elif ! install_packages && [ -n "$missing" ]; then
    echo "apt-get could not install$missing:" >&2
    tail -n 5 "$work/log" >&2
    exit 1
fi
has_packer || fetch_packer
check_python
