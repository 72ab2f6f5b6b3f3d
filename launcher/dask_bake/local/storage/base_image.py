"""Base images: Debian trees similar to Debian's own images for EC2, with their owner and kind of name."""

import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.local.settings import S3_DOMAIN
from dask_bake.local.storage.apt import host_options, host_sources
from dask_bake.local.storage.image_store import ImageStore, StoredImage
from dask_bake.local.storage.ownership import shift
from dask_bake.models.cloud import DEBIAN_ACCOUNT
from dask_bake.models.debian import RELEASES, DebianRelease
from dask_bake.system.subprocesses import run

PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "git",
    "iproute2",
    "isc-dhcp-client",
    "less",
    "libnss-resolve",
    "libpam-systemd",
    "netbase",
    "openssh-server",
    "procps",
    "rsync",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "tmux",
    "vim-tiny",
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
    # cloud-init recognises EC2 by the BIOS, which a container does not have: the data source is named.
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
    # The endpoint of s3:// in this cloud, for services and for sessions.
    "etc/systemd/system.conf.d/50-local-cloud.conf": f'[Manager]\nDefaultEnvironment="AWS_ENDPOINT_URL_S3=http://{S3_DOMAIN}"\n',
    # Without LLMNR and mDNS, as a look-up of an unknown name would wait a second and more for neighbours.
    "etc/systemd/resolved.conf.d/50-local-cloud.conf": "[Resolve]\nLLMNR=no\nMulticastDNS=no\n",
    "etc/environment": f"AWS_ENDPOINT_URL_S3=http://{S3_DOMAIN}\n",
    "etc/hostname": "localhost\n",
    "etc/machine-id": "",
}

DEBOOTSTRAP_TIMEOUT = 3600
"""Seconds, for a slow line too."""
ENABLED = ("systemd-networkd.service", "systemd-resolved.service")


def base_digest(release: DebianRelease) -> str:
    """Return a hash of everything that decides the tree: another one is another base image."""
    recipe = json.dumps([release.codename, PACKAGES, FILES, ENABLED])
    return hashlib.sha256(recipe.encode()).hexdigest()


def _image_id(release: DebianRelease) -> str:
    return f"ami-{base_digest(release)[:17]}"


def debootstrap_command(release: DebianRelease, target: Path) -> list[str]:
    """Return the command that makes the tree from the host's own Debian mirror, or from Debian's."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Apt::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in host_options()),
        *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "man", "locale", "info")),
        release.codename,
        str(target),
        *host_sources(release.codename),
    ]


class BaseImages:
    """The base images of a local cloud, each made at its first use."""

    def __init__(self, store: ImageStore, *, region: str, publish: Callable[[StoredImage], None]) -> None:
        self._store = store
        self._region = region
        self._publish = publish
        self._making = threading.Lock()

    def names(self) -> tuple[str, ...]:
        """Return the names of the releases whose base image exists."""
        made = {image.id for image in self._store.all()}
        return tuple(release.name for release in RELEASES if _image_id(release) in made)

    def ensure(self, release: DebianRelease) -> StoredImage:
        """Return the release's base image; make it if it does not exist.

        Raises:
            BakeError: when the tree cannot be made; it is removed then.
        """
        with self._making:
            return self._store.get(_image_id(release)) or self._make(release)

    def _make(self, release: DebianRelease) -> StoredImage:
        digest = base_digest(release)
        _make_tree(release, self._store.layer(f"base-{digest[:17]}"))
        image = _describe(release, digest, self._region)
        self._store.save(image)
        self._publish(image)
        return image


def _make_tree(release: DebianRelease, layer: Path) -> None:
    shutil.rmtree(layer, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=layer.parent, prefix="draft-") as draft:
        tree = Path(draft) / "tree"
        try:
            run(debootstrap_command(release, tree), seconds=DEBOOTSTRAP_TIMEOUT)
        except BakeError as error:
            raise BakeError(
                f"the {release} base tree could not be made: {error.message}",
                hint="check that apt-get update works and that 1 GB is free",
            ) from error
        configure(tree)
        shift(tree)
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


def _describe(release: DebianRelease, digest: str, region: str) -> StoredImage:
    now = datetime.now(UTC)
    return StoredImage(
        id=_image_id(release),
        name=f"{release.name}-amd64-{now:%Y%m%d}-local",
        description=f"{release} for the local cloud",
        owner=DEBIAN_ACCOUNT,
        region=region,
        created=now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        layers=(f"base-{digest[:17]}",),
        public=True,
    )
