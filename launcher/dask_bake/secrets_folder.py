"""A cluster's secrets on this machine: its key, and the host keys of its nodes; one private folder each."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.models import Cloud, Node


@dataclass(frozen=True)
class KeyPair:
    """An SSH key, as OpenSSH writes its two files."""

    private: str
    public: str


@dataclass(frozen=True)
class Secrets:
    """The folder of one cluster."""

    folder: Path
    launch_id: str

    @property
    def key(self) -> Path:
        """The private key's file."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The file with the pinned host keys."""
        return self.folder / "known_hosts"

    def write(self, pair: KeyPair) -> None:
        """Keeps the key, in place of whatever an earlier cluster of the name left."""
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(mode=0o700, parents=True)
            for path, text in ((self.key, pair.private), (self.key.with_suffix(".pub"), pair.public + "\n")):
                path.touch(mode=0o600)
                path.write_text(text)
        except OSError as error:
            raise BakeError(
                f"the cluster's key could not be kept in {self.folder}: {error.strerror}",
                hint="XDG_STATE_HOME names another place",
            ) from error

    def alias(self, node: Node) -> str:
        """The name under which the node's host key is pinned: addresses are used again, this is not."""
        return f"dask-bake-{self.launch_id}-{node.index}"

    def pin(self, node: Node, host_key: str) -> None:
        """Keeps the node's host key."""
        with self.known_hosts.open("a") as file:
            file.write(f"{self.alias(node)} {host_key}\n")

    def is_pinned(self, node: Node) -> bool:
        """True when the node's host key is kept."""
        if not self.known_hosts.exists():
            return False
        return any(
            line.split(" ")[0] == self.alias(node) for line in self.known_hosts.read_text().splitlines()
        )

    def delete(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def secrets_of(cloud: Cloud, name: str, launch_id: str, environ: Mapping[str, str]) -> Secrets:
    """The secrets of the cluster of that name."""
    home = Path(environ.get("HOME", "~")).expanduser()
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    return Secrets(state / "dask-bake" / f"{cloud.name}-{cloud.region}-{name}", launch_id)


def new_key(comment: str) -> KeyPair:
    """A fresh ed25519 key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(private.decode(), f"{public.decode()} {comment}")
