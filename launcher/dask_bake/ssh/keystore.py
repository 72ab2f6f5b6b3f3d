"""Keystore of a cluster on this machine: a private folder of keys, certificates and pinned host keys."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dask_bake.cloud_init.certificates import Authority, Certificate
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Node
from dask_bake.options.values import quoted
from dask_bake.ssh.keypair import PEM, KeyPair
from dask_bake.system.files import make_private
from dask_bake.system.xdg import state_home

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
"""A word that is safe as a part of a folder's name."""


SSH_CONFIG = "ssh_config"
"""Name of the file in a keystore by which the user's own ssh finds the nodes."""


@dataclass(frozen=True)
class ClientTls:
    """The certificates kept on this machine: the cluster's CA, and the one that clients present."""

    authority: Authority
    client: Certificate


@dataclass(frozen=True)
class Keys:
    """Keys and certificates for access to a cluster from this machine."""

    pair: KeyPair
    tls: ClientTls | None = None


@dataclass(frozen=True)
class Keystore:
    """The keystore folder of one cluster."""

    folder: Path
    launch_id: str

    @property
    def key(self) -> Path:
        """The file of the private key."""
        return self.folder / "id_ed25519"

    @property
    def key_trouble(self) -> str:
        """Return why the private key cannot be used; "" if it exists and is complete."""
        try:
            text = self.key.read_text(errors="replace")
        except FileNotFoundError:
            return "is not on this machine"
        except OSError as error:
            return f"on this machine cannot be read ({error.strerror})"
        return "" if PEM.search(text) else "on this machine is incomplete"

    @property
    def known_hosts(self) -> Path:
        """The file with the pinned host keys."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """The file by which the user's own ssh finds the nodes; it is there if the user wanted it."""
        return self.folder / SSH_CONFIG

    @property
    def ca_file(self) -> Path:
        """The file of the cluster's CA certificate."""
        return self.folder / "ca.pem"

    @property
    def client_cert(self) -> Path:
        """The file of the certificate that a client presents to the scheduler."""
        return self.folder / "client.pem"

    @property
    def client_key(self) -> Path:
        """The file of the client certificate's key."""
        return self.folder / "client.key"

    @property
    def has_certificates(self) -> bool:
        """Return whether the files for a TLS client of the cluster exist."""
        return all(path.exists() for path in (self.ca_file, self.client_cert, self.client_key))

    def write(self, keys: Keys) -> None:
        """Store the keys, in place of those of an earlier cluster of the same name."""
        pair = keys.pair
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            make_private(
                self.folder.parent.resolve()
            )  # who can rename in it could replace the keys and host keys
            self.folder.mkdir(mode=0o700)
            if pair.path is not None:
                self.key.symlink_to(pair.path.absolute())
            else:
                _write(self.key, pair.private)
            _write(self.key.with_suffix(".pub"), pair.public + "\n")
            if keys.tls is not None:
                self._write_certificates(keys.tls)
        except OSError as error:
            raise self._not_kept("key", error) from error

    def alias(self, node: Node) -> str:
        """Return the name to pin the node's host key under; unlike an address, it is never reused."""
        return f"dask-bake-{self.launch_id}-{node.index}"

    def pin(self, node: Node, host_key: str) -> None:
        """Store the node's host key."""
        try:
            with self.known_hosts.open("a+", errors="replace") as file:
                file.seek(0)
                begun = file.read().rpartition("\n")[2]
                file.write(("\n" if begun else "") + f"{self.alias(node)} {host_key}\n")
        except OSError as error:
            raise self._not_kept("host key", error) from error

    def is_pinned(self, node: Node) -> bool:
        """Return whether the node's host key is stored completely; a line without a newline was truncated."""
        if not self.known_hosts.exists():
            return False
        lines = self.known_hosts.read_text(errors="replace").split("\n")[:-1]
        return any(line.split(" ")[0] == self.alias(node) and line.count(" ") == 2 for line in lines)

    @property
    def has_pinned_any(self) -> bool:
        """Return whether a host key of this launch is stored."""
        try:
            text = self.known_hosts.read_text(errors="replace")
        except OSError:
            return False
        return any(line.startswith(f"dask-bake-{self.launch_id}-") for line in text.splitlines())

    def delete(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_certificates(self, tls: ClientTls) -> None:
        _write(self.ca_file, tls.authority.cert_pem)
        _write(self.folder / "ca.key", tls.authority.key_pem)
        _write(self.client_cert, tls.client.cert_pem)
        _write(self.client_key, tls.client.key_pem)

    def _not_kept(self, what: str, error: OSError) -> BakeError:
        return BakeError(
            f"the cluster's {what} could not be stored in {self.folder}: {error.strerror}",
            hint="set XDG_STATE_HOME to another folder",
        )


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def keystores_home(environ: Mapping[str, str]) -> Path:
    """Return the folder that has the keystores of all clusters."""
    return state_home(environ) / "dask-bake"


def keystore_of(cloud: Cloud, name: str, launch_id: str, environ: Mapping[str, str]) -> Keystore:
    """Return the keystore of one launch: two accounts can have clusters of the same name.

    The folder of an older version, without the launch's id, is used if it has this launch's host keys.

    Raises:
        UsageError: if a part of the folder's name, which may come from a tag, is not a plain word.
    """
    parts = (cloud.name, cloud.region, name, launch_id)
    if not all(PLAIN.fullmatch(part) for part in parts):
        raise UsageError(
            f"no keys are kept for {quoted('-'.join(parts))}: it is not a name that dask-bake gives",
            hint="dask-bake ls shows which clusters are dask-bake's",
        )
    home = keystores_home(environ)
    keystore = Keystore(home / "-".join(parts), launch_id)
    older = Keystore(home / "-".join(parts[:-1]), launch_id)
    return older if not keystore.folder.exists() and older.has_pinned_any else keystore
