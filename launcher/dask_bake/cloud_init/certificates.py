"""TLS certificates of a cluster: a CA, whose private key stays on this machine, and a certificate per role.

They contain no host names: Dask verifies the CA's signature and the extended key usage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from dask_bake.models.cloud import Role

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

RoleName = Literal["scheduler", "worker", "client"]

VALID_DAYS = 365
"""Validity period of all certificates."""

CLOCK_SKEW = timedelta(days=1)
"""Certificates are valid from this long ago, for nodes whose clocks are behind."""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, in PEM format."""

    cert_pem: str
    key_pem: str


@dataclass(frozen=True)
class Authority:
    """Certificate authority of a cluster; its private key can issue certificates for any role."""

    cluster: str
    cert_pem: str
    key_pem: str


@dataclass(frozen=True)
class NodeTls:
    """Files of a node: the CA's certificate, the certificate of its role, and on the head one for clients."""

    ca: str
    own: Certificate
    client: Certificate | None = None


def create_authority(cluster: str, *, now: datetime | None = None) -> Authority:
    """Create a self-signed CA for the cluster, with a P-256 key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{cluster} authority")
    certificate = (
        _builder(name, key, now)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
    )
    return Authority(cluster, _signed(certificate, key), _pem(key))


def issue(authority: Authority, role_name: RoleName, *, now: datetime | None = None) -> Certificate:
    """Issue a certificate with a new key; only scheduler and worker get server authentication as well."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer = x509.load_pem_x509_certificate(authority.cert_pem.encode())
    signer = serialization.load_pem_private_key(authority.key_pem.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the CA's key must be an elliptic curve key")
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role_name != "client":
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(f"{authority.cluster} {role_name}"), key, now)
        .issuer_name(issuer.subject)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(_authority_id(signer), critical=False)
    )
    return Certificate(_signed(certificate, signer), _pem(key))


def issue_for_nodes(authority: Authority, *, now: datetime | None = None) -> Mapping[Role, NodeTls]:
    """Issue the certificates of all nodes: scheduler and client for the head, one for all workers."""
    scheduler, client = issue(authority, "scheduler", now=now), issue(authority, "client", now=now)
    return {
        Role.HEAD: NodeTls(authority.cert_pem, scheduler, client),
        Role.WORKER: NodeTls(authority.cert_pem, issue(authority, "worker", now=now)),
    }


def _name(text: str) -> "x509.Name":
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    subject: "x509.Name", key: "EllipticCurvePrivateKey", now: datetime | None
) -> "x509.CertificateBuilder":
    from cryptography import x509

    not_before = (now or datetime.now(UTC)) - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_id(signer: "EllipticCurvePrivateKey") -> "x509.AuthorityKeyIdentifier":
    from cryptography import x509

    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())


def _key_usage(*, key_cert_sign: bool = False, digital_signature: bool = False) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(certificate: "x509.CertificateBuilder", key: "EllipticCurvePrivateKey") -> str:
    from cryptography.hazmat.primitives import hashes, serialization

    return certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _pem(key: "EllipticCurvePrivateKey") -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
