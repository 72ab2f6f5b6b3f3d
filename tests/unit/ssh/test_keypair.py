"""The user's own keys, tried with the ssh that will use them."""

import os
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa

from dask_bake.cli.main import run
from dask_bake.errors import UsageError
from dask_bake.ssh.keypair import read_key
from dask_bake.ssh.keystore import Keys, Keystore

KINDS = {
    "openssh": ("-t", "ed25519"),
    "pem": ("-t", "rsa", "-m", "PEM"),
    "pkcs8": ("-t", "rsa", "-m", "PKCS8"),
}
DAMAGES = {
    "no newline at the end": lambda text: text.rstrip("\n"),
    "Windows' line ends": lambda text: text.replace("\n", "\r\n"),
    "empty lines before it": lambda text: f"\n\n{text}",
    "words before it": lambda text: f"the key:\n{text}",
    "indented": lambda text: "".join(f"  {line}\n" for line in text.splitlines()),
    "a byte order mark": lambda text: f"\ufeff{text}",
}
SECURITY_KEY = "sk-ssh-ed25519@openssh.com AAAA"


def generated(folder: Path, *words: str, passphrase: str = "") -> Path:
    path = folder / "key"
    subprocess.run(["ssh-keygen", "-q", *words, "-N", passphrase, "-f", path], check=True)
    return path


def public_of(path: Path) -> list[str]:
    done = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[:2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_ssh_can_use_what_the_keystore_keeps_of_a_damaged_key(tmp_path, kind, damage):
    path = generated(tmp_path, *KINDS[kind])
    whole = public_of(path)
    damaged = DAMAGES[damage](path.read_text())
    path.write_bytes(damaged.encode())

    pair = read_key(path)
    keystore = Keystore(tmp_path / "keystore", "launch1")
    keystore.write(Keys(pair))

    assert (public_of(keystore.key), pair.public.split()[:2]) == (whole, whole)
    assert path.read_bytes() == damaged.encode()
    assert keystore.key.stat().st_mode & 0o777 == 0o600


def test_a_key_that_ssh_can_use_stays_in_its_file(tmp_path):
    path = generated(tmp_path, "-t", "ed25519")

    assert read_key(path).path == path


def test_a_key_can_come_through_a_pipe(tmp_path):
    """As from a secret store: ``--keypair <(…)``."""
    whole = generated(tmp_path, "-t", "ed25519")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(whole.read_text(),))
    writer.start()

    pair = read_key(pipe)
    writer.join()

    assert (pair.path, pair.public.split()[:2]) == (None, public_of(whole))


@pytest.mark.parametrize(
    "content", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_with_no_private_key_is_refused(tmp_path, content):
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(UsageError, match="contains no whole private key"):
        read_key(path)


def test_a_key_that_is_cut_off_is_refused(tmp_path):
    path = generated(tmp_path, "-t", "ed25519")
    path.write_text(path.read_text()[:200])

    with pytest.raises(UsageError, match="contains no whole private key"):
        read_key(path)


def test_a_dsa_key_is_refused(tmp_path):
    path = tmp_path / "key"
    form = (serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    path.write_bytes(dsa.generate_private_key(1024).private_bytes(serialization.Encoding.PEM, *form))
    path.chmod(0o600)

    with pytest.raises(UsageError, match=r"is a DSA key|cannot be used"):
        read_key(path)


def test_a_key_on_a_security_key_is_refused(tmp_path, monkeypatch):
    """An ssh-keygen of the test's own: to make such a key takes the device."""
    program = tmp_path / "ssh-keygen"
    program.write_text(f"#!/bin/sh\necho {SECURITY_KEY}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = generated_text(tmp_path)

    with pytest.raises(UsageError, match="is held by a security key"):
        read_key(path)


def generated_text(folder: Path) -> Path:
    path = folder / "key"
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    path.chmod(0o600)
    return path


def test_a_machine_without_ssh_keygen_is_one_sentence(tmp_path, monkeypatch):
    path = generated_text(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="ssh-keygen, which checks the key, is not installed"):
        read_key(path)


@pytest.mark.parametrize(
    "words", [("-t", "ed25519"), ("-t", "rsa"), ("-t", "rsa", "-m", "PEM"), ("-t", "rsa", "-m", "PKCS8")]
)
def test_a_key_with_a_passphrase_is_refused_with_the_command_that_removes_it(tmp_path, words):
    path = generated(tmp_path, *words, passphrase="a secret")

    with pytest.raises(UsageError, match="has a passphrase, which dask-bake cannot enter") as caught:
        read_key(path)
    assert "ssh-keygen -p" in caught.value.hint


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = generated(tmp_path, *KINDS["pem"])
    path.chmod(0o644)

    with pytest.raises(UsageError, match="can be read by others, and ssh does not use such a key") as caught:
        read_key(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_a_file_without_a_key_is_refused(tmp_path):
    path = tmp_path / "key"
    path.write_text("-----BEGIN RSA PRIVATE KEY-----\nnonsense\n-----END RSA PRIVATE KEY-----\n")
    path.chmod(0o600)

    with pytest.raises(UsageError, match=r"--keypair .* cannot be used"):
        read_key(path)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("ssh-ed25519 AAAA me\n", "give the file without .pub"),
        ("PuTTY-User-Key-File-3: x\n", "puttygen FILE"),
    ],
)
def test_a_launch_refuses_another_kind_of_file_with_a_hint(tmp_path, content, hint, capsys):
    path = tmp_path / "key"
    path.write_text(content)

    assert run(["launch", "--keypair", str(path), "--dry-run"]) == 2

    printed = capsys.readouterr().err
    assert "contains no private key" in printed
    assert hint in printed
