"""Where the local cloud lives on this machine, and under which names."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from dask_bake.errors import UsageError

DEFAULT_PORT = 5665
S3_DOMAIN = "s3.dask-bake.internal"
"""The name under which instances reach the local cloud's S3, at port 80."""


@dataclass(frozen=True)
class Settings:
    """Names and places of one local cloud.

    ``name`` is also the bridge's name and the prefix of all that is made, so that what is left over can be
    recognised. ``block`` is None to take the first block that collides with none of the host's routes.
    """

    name: str = "dask-bake"
    root: Path = Path("/var/lib/dask-bake")
    port: int = DEFAULT_PORT
    block: IPv4Network | None = None

    @property
    def url(self) -> str:
        """The endpoint for EC2 and S3, for programs on this machine."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def bridge(self) -> str:
        """The network interface that instances hang on."""
        return self.name

    @property
    def runtime(self) -> Path:
        """The folder of what ends with the server."""
        return Path("/run") / f"dask-bake.{self.name}"

    @property
    def pid_file(self) -> Path:
        """The server's pid, locked while it lives."""
        return self.runtime / "server.pid"

    @property
    def log(self) -> Path:
        """What the server and its helpers say."""
        return self.root / "server.log"

    @property
    def instances(self) -> Path:
        """A folder for each instance; ends with it."""
        return self.root / "instances"

    @property
    def images(self) -> Path:
        """A JSON file for each image; survives the server."""
        return self.root / "images"

    @property
    def snapshots(self) -> Path:
        """A JSON file for each snapshot; survives the server, and its image."""
        return self.root / "snapshots"

    @property
    def layers(self) -> Path:
        """The read-only trees that images are stacks of."""
        return self.root / "layers"

    @property
    def samples(self) -> Path:
        """The files of the sample data sets."""
        return self.root / "samples"


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings, from ``DASK_BAKE_LOCAL_NAME``, ``…_ROOT``, ``…_PORT`` and ``…_BLOCK``, or the defaults.

    Raises:
        UsageError: when a value cannot be used.
    """
    name = environ.get("DASK_BAKE_LOCAL_NAME", "dask-bake")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,14}", name):
        raise UsageError(
            f"DASK_BAKE_LOCAL_NAME is {name!r}, which cannot name a network interface.",
            hint="Use at most 15 letters, digits and dashes, a letter first.",
        )
    return Settings(
        name=name,
        root=Path(environ.get("DASK_BAKE_LOCAL_ROOT") or "/var/lib/dask-bake").absolute(),
        port=_port(environ.get("DASK_BAKE_LOCAL_PORT", str(DEFAULT_PORT))),
        block=_block(environ.get("DASK_BAKE_LOCAL_BLOCK")),
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise UsageError(f"DASK_BAKE_LOCAL_PORT is {text!r}, which is not a port.", hint="Use 1 to 65535.")
    return int(text)


def _block(text: str | None) -> IPv4Network | None:
    if not text:
        return None
    hint = "Use a private block between /16 and /26, such as 10.213.0.0/20."
    try:
        block = IPv4Network(text)
    except ValueError:
        raise UsageError(f"DASK_BAKE_LOCAL_BLOCK is {text!r}, which is not a block.", hint=hint) from None
    if not (block.is_private and 16 <= block.prefixlen <= 26):
        raise UsageError(f"DASK_BAKE_LOCAL_BLOCK is {text}, which cannot be used.", hint=hint)
    return block
