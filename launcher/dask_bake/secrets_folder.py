"""A cluster's secrets on this machine: its key, and the host keys of its nodes; one private folder each."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dask_bake.errors import BakeError, UsageError
from dask_bake.models import Cloud, Node


@dataclass(frozen=True)
class KeyPair:
    """An SSH key, as OpenSSH writes its two files; ``path`` is the file of one that is the user's own."""

    private: str
    public: str
    path: Path | None = None


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
            if pair.path is not None:
                self.key.symlink_to(pair.path.absolute())
            else:
                _write(self.key, pair.private)
            _write(self.key.with_suffix(".pub"), pair.public + "\n")
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


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def secrets_of(cloud: Cloud, name: str, launch_id: str, environ: Mapping[str, str]) -> Secrets:
    """The secrets of the cluster of that name."""
    home = Path(environ.get("HOME", "~")).expanduser()
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    return Secrets(state / "dask-bake" / f"{cloud.name}-{cloud.region}-{name}", launch_id)


def read_key(path: Path) -> KeyPair:
    """The key that a user keeps in a file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    text = path.read_text(encoding="ascii", errors="replace")
    try:
        load = serialization.load_ssh_private_key if "OPENSSH" in text else serialization.load_pem_private_key
        key = load(text.encode(), password=None)
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    except TypeError as error:
        raise UsageError(
            f"--keypair {path} is locked with a passphrase, and nobody is there to type it",
            hint="ssh-keygen -p -f FILE removes it from a copy",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"--keypair {path} cannot be used: {error}") from error
    return KeyPair(text, public.decode(), path)


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
