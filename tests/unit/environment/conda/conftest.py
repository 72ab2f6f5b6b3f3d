"""A channel on loopback, and short limits for requests to it."""

import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from conda_channel import index_channel
from conda_packages import make_package
from conda_server import Served, serve
from dask_bake.environment.conda import channels as conda_client
from dask_bake.environment.conda import download


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a channel in which the newer ``a`` needs a missing package, and some need virtual packages."""
    channel = tmp_path_factory.mktemp("channel")
    make_package(channel, "a", "1.0", ["b >=1"])
    make_package(channel, "a", "2.0", ["b >=2"])
    make_package(channel, "b", "1.5", ["python >=3.11"], subdir="linux-64", build="h1_0")
    make_package(channel, "b", "1.5", subdir="linux-aarch64", build="h2_0")
    make_package(channel, "python", "3.11.9")
    make_package(channel, "old", "1", ["__glibc >=2.36"])
    make_package(channel, "new", "1", ["__glibc >=2.37"])
    for machine in ("x86_64", "aarch64"):
        make_package(channel, f"for-{machine}", "1", [f"__archspec 1 {machine}"])
    index_channel(channel)
    return channel


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with serve(folder) as served:
        yield served


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry once at most, and remove proxies and certificates of the environment."""
    monkeypatch.setattr(conda_client, "SHUTDOWN_GRACE", 0)
    monkeypatch.setattr(conda_client, "RETRIES", 0)
    monkeypatch.setattr(download, "RETRIES", 1)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", "RATTLER_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``ca.pem``, and ``server.pem`` with its key, signed for loopback."""
    folder = tmp_path_factory.mktemp("authority")
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server")}
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    for name, key in keys.items():
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(loopback, critical=False)
            .sign(keys["ca"], hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        held = private if name == "server" else b""
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM) + held)
    return folder
