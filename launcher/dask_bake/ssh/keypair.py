"""SSH key pairs: a new one for a cluster, or the user's own, which is tried with the system's OpenSSH."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.system.subprocesses import run_with_timeout

PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*KEY-----.+-----END [A-Z0-9 ]*KEY-----", re.DOTALL)
"""A private key of any kind; some programs write other text around it."""
SECURITY_KEY = "sk-"
"""Prefix of the types of keys that a security key holds (FIDO)."""
OWN_KEY_HINT = "leave it out: the cluster gets a key of its own"
KEYGEN_TIMEOUT = 20.0


@dataclass(frozen=True)
class KeyPair:
    """An SSH key pair in OpenSSH's file formats; ``path`` is the file if the key is the user's own."""

    private: str
    public: str
    path: Path | None = None


def new_key(comment: str) -> KeyPair:
    """Generate an ed25519 key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return KeyPair(_openssh(key), f"{public.decode()} {comment}")


def read_key(path: Path) -> KeyPair:
    """Read a user's key, to be used from its file, or as a private copy if ssh cannot read the file.

    ssh rejects what other programs accept: a key without a newline at its end, with Windows' line ends, with
    other text around it, or in a format that this version of ssh does not know. A pipe is read only once.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    is_file = path.is_file()
    if is_file and path.stat().st_mode & 0o077:
        raise UsageError(
            f"--keypair {path} can be read by others, and ssh does not use such a key",
            hint=f"chmod 600 {path}",
        )
    public, problem = _try_with_ssh(path) if is_file else ("", "")
    if public:
        return KeyPair(text, _checked(path, public), path)
    copy = _converted(path, text, problem)
    with tempfile.NamedTemporaryFile("w", prefix="dask-bake-") as file:  # only its owner can read it
        file.write(copy)
        file.flush()
        public, problem = _try_with_ssh(Path(file.name))
    if not public:
        raise UsageError(f"--keypair {path} cannot be used by ssh: {problem}", hint=OWN_KEY_HINT)
    return KeyPair(copy, _checked(path, public))


def _checked(path: Path, public: str) -> str:
    kind = public.split()[0]
    if kind.startswith(SECURITY_KEY):
        raise UsageError(
            f"--keypair {path} is held by a security key, and every connection would wait for a touch of it",
            hint=OWN_KEY_HINT,
        )
    if kind == "ssh-dss":
        raise _dsa_error(path)
    return public


def _try_with_ssh(path: Path) -> tuple[str, str]:
    """Return the public key as ssh reads it from the file, or "" and what ssh says."""
    try:
        done = run_with_timeout(["ssh-keygen", "-y", "-P", "", "-f", str(path.absolute())], KEYGEN_TIMEOUT)
    except FileNotFoundError as error:
        raise UsageError(
            "ssh-keygen, which checks the key, is not installed", hint="install OpenSSH's client"
        ) from error
    if done.returncode == 0 and done.stdout.strip():
        return done.stdout.strip(), ""
    lines = done.stderr.strip().splitlines() or ["it reads no key from the file"]
    return "", lines[-1].rpartition('": ')[2]


def _converted(path: Path, text: str, problem: str) -> str:
    """Return the key in OpenSSH's own format, without what ssh stumbles over."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import dsa

    lines = [line.strip() for line in text.splitlines()]
    found = PEM.search("\n".join(lines))
    if found is None:
        raise UsageError(f"--keypair {path} contains no whole private key", hint=OWN_KEY_HINT)
    load = serialization.load_ssh_private_key if "OPENSSH" in found[0] else serialization.load_pem_private_key
    try:
        key = load(f"{found[0]}\n".encode(), password=None)
        if isinstance(key, dsa.DSAPrivateKey):
            raise _dsa_error(path)
        return _openssh(key)
    except TypeError as error:
        raise UsageError(
            f"--keypair {path} has a passphrase, which dask-bake cannot enter",
            hint="ssh-keygen -p -f FILE removes it from a copy",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"--keypair {path} cannot be used: {problem or error}", hint=OWN_KEY_HINT) from error


def _dsa_error(path: Path) -> UsageError:
    return UsageError(f"--keypair {path} is a DSA key, which SSH no longer accepts", hint=OWN_KEY_HINT)


def _openssh(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return text.decode()
