"""Settings of one local cloud: its name, root folder, port and address block."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from dask_bake.errors import UsageError

DEFAULT_PORT = 5665
RUNTIMES = Path("/run")
"""The folder with a folder for each local cloud that runs; only root can write to it."""
S3_DOMAIN = "s3.dask-bake.internal"
"""Host name of the local cloud's S3 for instances, at port 80."""


@dataclass(frozen=True)
class Settings:
    """The settings of one local cloud.

    ``name`` is also the bridge's name, and the prefix by which everything that is made on the machine is
    recognised. ``block`` is None to use the first block that no route of the host overlaps.
    """

    name: str = "dask-bake"
    root: Path = Path("/var/lib/dask-bake")
    port: int = DEFAULT_PORT
    block: IPv4Network | None = None

    @property
    def url(self) -> str:
        """The endpoint of EC2 and S3 for programs on this machine."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bridge(self) -> str:
        """The bridge that connects the instances."""
        return self.name

    @property
    def runtime(self) -> Path:
        """The folder of files that end with the server."""
        return RUNTIMES / f"dask-bake.{self.name}"

    @property
    def pid_file(self) -> Path:
        """The file with the server's pid, locked while it runs."""
        return self.runtime / "server.pid"

    @property
    def credentials_file(self) -> Path:
        """The file with the key pair that signs requests, readable by the owner alone."""
        return self.runtime / "credentials"

    @property
    def log(self) -> Path:
        """The log of the server and of dnsmasq."""
        return self.root / "server.log"

    @property
    def instances(self) -> Path:
        """The folder with a folder for each instance, which ends with it."""
        return self.root / "instances"

    @property
    def images(self) -> Path:
        """The folder with a JSON file for each image; outlives the server."""
        return self.root / "images"

    @property
    def snapshots(self) -> Path:
        """The folder with a JSON file for each snapshot; outlives the server."""
        return self.root / "snapshots"

    @property
    def layers(self) -> Path:
        """The folder of the read-only trees that images consist of."""
        return self.root / "layers"

    @property
    def samples(self) -> Path:
        """The folder of the sample data."""
        return self.root / "samples"


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings from ``DASK_BAKE_LOCAL_NAME``, ``…_ROOT``, ``…_PORT`` and ``…_BLOCK``, or defaults.

    Raises:
        UsageError: for an invalid value.
    """
    name = environ.get("DASK_BAKE_LOCAL_NAME", "dask-bake")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,14}", name):
        raise UsageError(
            f"DASK_BAKE_LOCAL_NAME is {name!r}, which cannot name a network interface",
            hint="use at most 15 letters, digits and dashes, a letter first",
        )
    return Settings(
        name=name,
        root=Path(environ.get("DASK_BAKE_LOCAL_ROOT") or "/var/lib/dask-bake").absolute(),
        port=_port(environ.get("DASK_BAKE_LOCAL_PORT", str(DEFAULT_PORT))),
        block=_block(environ.get("DASK_BAKE_LOCAL_BLOCK")),
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise UsageError(f"DASK_BAKE_LOCAL_PORT is {text!r}, which is not a port", hint="use 1 to 65535")
    return int(text)


def _block(text: str | None) -> IPv4Network | None:
    if not text:
        return None
    hint = "use a private block between /16 and /26, such as 10.213.0.0/20"
    try:
        block = IPv4Network(text)
    except ValueError:
        raise UsageError(f"DASK_BAKE_LOCAL_BLOCK is {text!r}, which is not a CIDR block", hint=hint) from None
    if not (block.is_private and 16 <= block.prefixlen <= 26):
        raise UsageError(
            f"DASK_BAKE_LOCAL_BLOCK is {text}, which is not private or not of a possible size", hint=hint
        )
    return block
