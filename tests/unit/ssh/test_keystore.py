"""The user's keys in every format that ssh and EC2 accept, and the keystore of a cluster."""

import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from dask_bake.errors import BakeError, UsageError
from dask_bake.launch.bootstrap import bootstrap_files, keys_for
from dask_bake.models.cloud import Role
from dask_bake.options.launch import LaunchOptions
from dask_bake.ssh.keypair import new_key, read_key
from dask_bake.ssh.keystore import Keys, Keystore, keystore_of
from fakes import CLOUD, HOST_KEY, a_cluster

KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ecdsa": ec.generate_private_key(ec.SECP256R1()),
}
FORMATS = {
    "openssh": serialization.PrivateFormat.OpenSSH,
    "pem": serialization.PrivateFormat.TraditionalOpenSSL,
    "pkcs8": serialization.PrivateFormat.PKCS8,
}
KEPT = ("id_ed25519", "id_ed25519.pub", "ca.pem", "ca.key", "client.pem", "client.key")
EVERY = [
    (kind, form) for kind in KEYS for form in FORMATS if (kind, form) != ("ed25519", "pem")
]  # there is no such thing


def written(folder, kind, form):
    path = folder / "key"
    text = KEYS[kind].private_bytes(serialization.Encoding.PEM, FORMATS[form], serialization.NoEncryption())
    path.write_bytes(text)
    path.chmod(0o600)
    return path


def public_of(path):
    done = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[:2]


@pytest.mark.parametrize(("kind", "form"), EVERY)
def test_ssh_can_use_the_user_s_key_from_the_keystore(tmp_path, kind, form):
    path = written(tmp_path, kind, form)
    pair = read_key(path)
    keystore = Keystore(tmp_path / "keystore", "launch1")

    keystore.write(Keys(pair))

    assert public_of(keystore.key) == pair.public.split()[:2]
    # ssh of Debian 13 reads PKCS#8 of ed25519, that of Debian 12 gets a copy in its own format.
    reads = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", path], capture_output=True, check=False)
    assert keystore.key.is_symlink() is (reads.returncode == 0)
    keystore.delete()
    assert path.exists()


def test_the_user_s_public_key_is_given_to_the_nodes(tmp_path):
    path = written(tmp_path, "rsa", "pem")
    options = LaunchOptions(keypair=path)

    files = bootstrap_files(options, keys_for(options))

    assert files.public_key.split()[:2] == public_of(path)


@pytest.mark.parametrize("form", FORMATS)
def test_without_user_data_a_key_that_ec2_cannot_import_is_refused(tmp_path, form):
    path = written(tmp_path, "ecdsa", form)

    with pytest.raises(UsageError, match="is ecdsa-sha2-nistp256: EC2 accepts only RSA and ED25519"):
        keys_for(LaunchOptions(keypair=path, provision=False))
    assert keys_for(LaunchOptions(keypair=path))
    assert keys_for(LaunchOptions(keypair=path, provision=False, keyname="mine"))


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_without_user_data_a_key_that_ec2_can_import_is_accepted(tmp_path, kind):
    path = written(tmp_path, kind, "openssh")

    assert keys_for(LaunchOptions(keypair=path, provision=False)).pair.public.split() == public_of(path)


def test_certificates_are_readable_by_their_owner_only_and_deleted_with_the_keystore(tmp_path):
    options = LaunchOptions(tls=True)
    keystore = Keystore(tmp_path / "keystore", "launch1")

    keystore.write(keys_for(options))

    assert keystore.has_certificates
    assert stat.S_IMODE(keystore.folder.stat().st_mode) == 0o700
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in keystore.folder.iterdir()}
    assert modes == dict.fromkeys(KEPT, "0o600")
    keystore.delete()
    assert not keystore.has_certificates


def test_certificates_of_nodes_are_signed_by_the_ca_whose_key_stays_in_the_keystore():
    options = LaunchOptions(tls=True)
    keys = keys_for(options)

    handed = bootstrap_files(options, keys).tls

    assert set(handed) == {Role.HEAD, Role.WORKER}
    authority = x509.load_pem_x509_certificate(keys.tls.authority.cert_pem.encode())
    for node in handed.values():
        assert node.ca == keys.tls.authority.cert_pem
        for each in filter(None, (node.own, node.client)):
            x509.load_pem_x509_certificate(each.cert_pem.encode()).verify_directly_issued_by(authority)
            assert keys.tls.authority.key_pem not in each.key_pem
    x509.load_pem_x509_certificate(keys.tls.client.cert_pem.encode()).verify_directly_issued_by(authority)


def test_without_tls_there_are_no_certificates(tmp_path):
    options = LaunchOptions()
    keys = keys_for(options)
    keystore = Keystore(tmp_path / "keystore", "launch1")

    keystore.write(keys)

    assert (bootstrap_files(options, keys).tls, keystore.has_certificates) == ({}, False)


def test_a_keystore_is_private_and_replaces_that_of_an_earlier_cluster(tmp_path):
    folder = tmp_path / "dask-bake" / "aws-us-east-1-dask-launch1"
    (folder / "old").mkdir(parents=True)
    keystore = keystore_of(CLOUD, "dask", "launch1", {"XDG_STATE_HOME": str(tmp_path)})

    keystore.write(Keys(new_key("dask-bake dask")))

    assert keystore.folder == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "id_ed25519": 0o600,
        "id_ed25519.pub": 0o600,
    }
    keystore.delete()
    assert not folder.exists()


def test_clusters_of_the_same_name_in_two_accounts_share_no_folder(tmp_path):
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    first, second = (keystore_of(CLOUD, "dask", each, environ) for each in ("launch1", "launch2"))
    first.write(Keys(new_key("x")))
    second.write(Keys(new_key("x")))

    second.delete()

    assert first.key_trouble == ""


def test_the_folder_of_an_older_version_is_used_for_the_launch_that_it_has_host_keys_of(tmp_path):
    environ, older = {"XDG_STATE_HOME": str(tmp_path)}, tmp_path / "dask-bake" / "aws-us-east-1-dask"
    older.mkdir(parents=True)
    Keystore(older, "launch1").pin(a_cluster().nodes[0], HOST_KEY)

    assert keystore_of(CLOUD, "dask", "launch1", environ).folder == older
    assert keystore_of(CLOUD, "dask", "launch2", environ).folder != older


@pytest.mark.parametrize(
    ("name", "launch_id"),
    [
        ("dask/../../../../.ssh", "launch1"),
        ("..", "launch1"),
        ("dask", "../../x"),
        ("dask", ""),
        ("", "launch1"),
        ("/etc", "launch1"),
        ("-rf", "launch1"),
        ("a\nb", "launch1"),
        ("dask", "launch1\n"),
    ],
)
def test_a_name_that_is_not_dask_bake_s_has_no_keystore(tmp_path, name, launch_id):
    with pytest.raises(UsageError, match="no keys are kept"):
        keystore_of(CLOUD, name, launch_id, {"XDG_STATE_HOME": str(tmp_path)})


def test_ssh_accepts_a_new_key(tmp_path):
    keystore, pair = Keystore(tmp_path / "keystore", "launch1"), new_key("dask-bake dask")
    keystore.write(Keys(pair))

    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", keystore.key], capture_output=True, text=True, check=True
    ).stdout

    assert shown.split()[:2] == pair.public.split()[:2]
    assert pair.public.endswith(" dask-bake dask")


def test_a_host_key_is_pinned_for_one_node_of_one_launch(tmp_path):
    keystore = Keystore(tmp_path, "launch1")
    head, worker, _ = a_cluster().nodes

    keystore.pin(head, HOST_KEY)

    assert keystore.known_hosts.read_text() == f"dask-bake-launch1-0 {HOST_KEY}\n"
    assert [keystore.is_pinned(head), keystore.is_pinned(worker)] == [True, False]
    assert not Keystore(tmp_path, "launch2").is_pinned(head)


def test_a_keystore_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(BakeError, match="the cluster's key could not be stored"):
        Keystore(tmp_path / "file" / "dask", "launch1").write(Keys(new_key("x")))


def test_nobody_else_can_replace_the_keystore(tmp_path):
    """With the umask 000 anybody could put host keys of their own into its place."""
    shared = tmp_path / "dask-bake"
    shared.mkdir()
    shared.chmod(0o777)

    keystore_of(CLOUD, "dask", "launch1", {"XDG_STATE_HOME": str(tmp_path)}).write(Keys(new_key("dask")))

    assert stat.S_IMODE(shared.stat().st_mode) == 0o700
