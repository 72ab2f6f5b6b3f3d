"""The base image: a Debian tree, close to Debian's own image for EC2, under its name and owner."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.events import Notify, PhaseEnded, PhaseStarted
from dask_bake.local.commands import run
from dask_bake.local.settings import S3_DOMAIN
from dask_bake.local.storage.apt import host_options, host_sources
from dask_bake.local.storage.image_store import ImageStore, StoredImage
from dask_bake.models.cluster import DEBIAN_ACCOUNT

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "dbus",
    "iproute2",
    "isc-dhcp-client",
    "libnss-resolve",
    "libpam-systemd",
    "netbase",
    "openssh-server",
    "procps",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
)

FILES: Mapping[str, str] = {
    # As in Debian's image: the user is admin, and networkd asks for an address.
    "etc/cloud/cloud.cfg.d/01_debian_cloud.cfg": """\
system_info:
  default_user:
    name: admin
    sudo: ALL=(ALL) NOPASSWD:ALL
    shell: /bin/bash
    lock_passwd: true
    gecos: Debian
    groups: [adm, audio, cdrom, dialout, dip, floppy, plugdev, sudo, video]
""",
    "etc/systemd/network/80-ethernet.network": """\
[Match]
Type=ether

[Network]
DHCP=ipv4
LinkLocalAddressing=no
""",
    # What the hypervisor's BIOS would say is not visible in a container, so the data source is named.
    "etc/cloud/cloud.cfg.d/90_local_cloud.cfg": """\
datasource_list: [ Ec2, None ]
datasource:
  Ec2:
    strict_id: false
    metadata_urls: [ "http://169.254.169.254" ]
network:
  config: disabled
locale: false
""",
    # Where s3:// is in this cloud, for services and for sessions.
    "etc/systemd/system.conf.d/50-local-cloud.conf": f'[Manager]\nDefaultEnvironment="AWS_ENDPOINT_URL_S3=http://{S3_DOMAIN}"\n',
    "etc/environment": f"AWS_ENDPOINT_URL_S3=http://{S3_DOMAIN}\n",
    "etc/hostname": "localhost\n",
    "etc/machine-id": "",
}

ENABLED = ("systemd-networkd.service", "systemd-resolved.service")


def base_digest() -> str:
    """What decides the tree, as a hash: another one is another base image."""
    recipe = json.dumps([SUITE, PACKAGES, FILES, ENABLED])
    return hashlib.sha256(recipe.encode()).hexdigest()


def debootstrap_command(target: Path) -> list[str]:
    """The command that makes the tree from the host's own Debian mirror, or from Debian's."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in host_options()),
        *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "man", "locale", "info")),
        SUITE,
        str(target),
        *host_sources(SUITE),
    ]


def ensure_base(store: ImageStore, *, region: str, notify: Notify) -> StoredImage:
    """The base image, made if it is not there yet.

    Raises:
        BakeError: when the tree cannot be made; nothing of it is left then.
    """
    digest = base_digest()
    image_id = f"ami-{digest[:17]}"
    found = store.get(image_id)
    if found:
        return found
    notify(PhaseStarted("make the Debian base tree"))
    started = datetime.now(UTC)
    _make_tree(store.layer(f"base-{digest[:17]}"))
    image = _describe(image_id, digest, region)
    store.save(image)
    notify(PhaseEnded("make the Debian base tree", (datetime.now(UTC) - started).total_seconds()))
    return image


def _make_tree(layer: Path) -> None:
    shutil.rmtree(layer, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=layer.parent, prefix="draft-") as draft:
        tree = Path(draft) / "tree"
        try:
            # Over a slow line its packages take long.
            run(debootstrap_command(tree), seconds=3600)
        except BakeError as error:
            raise BakeError(
                f"The Debian base tree could not be made: {error.message}",
                hint="Does `apt-get update` work, and is there 1 GB free?",
            ) from error
        configure(tree)
        tree.rename(layer)


def configure(tree: Path) -> None:
    """Turn a bare Debian tree into one that boots as an instance."""
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (tree / "etc/fstab").unlink(missing_ok=True)
    resolver = tree / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    run(["systemctl", f"--root={tree}", "--quiet", "enable", *ENABLED])


def _describe(image_id: str, digest: str, region: str) -> StoredImage:
    now = datetime.now(UTC)
    return StoredImage(
        id=image_id,
        name=f"debian-12-amd64-{now:%Y%m%d}-local",
        description="Debian 12 for the local cloud",
        owner=DEBIAN_ACCOUNT,
        region=region,
        created=now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        layers=(f"base-{digest[:17]}",),
        public=True,
    )
