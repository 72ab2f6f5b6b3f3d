"""A cluster's own certificates: an authority whose key stays where it was made, and a key for each role.

Nothing in them is a host's name: Dask asks whether the authority signed, and for what use.
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
"""Days from the first to the last on which certificates are valid."""

CLOCK_SKEW = timedelta(days=1)
"""How far behind a node's clock may be; by so much the first day lies in the past."""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM."""

    cert_pem: str
    key_pem: str


@dataclass(frozen=True)
class Authority:
    """The one that signs for a cluster; whoever has its key can join as anything."""

    cluster: str
    cert_pem: str
    key_pem: str


@dataclass(frozen=True)
class NodeTls:
    """What a node is given: the authority's certificate, its role's pair, and on the head a client's too."""

    ca: str
    own: Certificate
    client: Certificate | None = None


def new_authority(cluster: str, *, now: datetime | None = None) -> Authority:
    """A fresh authority for the cluster of that name: P-256, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{cluster} authority")
    certificate = (
        _draft(name, key, now)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
    )
    return Authority(cluster, _signed(certificate, key), _pem(key))


def issue(authority: Authority, role_name: RoleName, *, now: datetime | None = None) -> Certificate:
    """A fresh key, signed for: a client's serves to connect, the others' to listen as well."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    above = x509.load_pem_x509_certificate(authority.cert_pem.encode())
    signer = serialization.load_pem_private_key(authority.key_pem.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("an authority's key is one of an elliptic curve")
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role_name != "client":
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _draft(_name(f"{authority.cluster} {role_name}"), key, now)
        .issuer_name(above.subject)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(_authority_id(signer), critical=False)
    )
    return Certificate(_signed(certificate, signer), _pem(key))


def hand_out(authority: Authority, *, now: datetime | None = None) -> Mapping[Role, NodeTls]:
    """What the nodes of each role are given: keys for the scheduler, for people on the head, for workers."""
    scheduler, client = issue(authority, "scheduler", now=now), issue(authority, "client", now=now)
    return {
        Role.HEAD: NodeTls(authority.cert_pem, scheduler, client),
        Role.WORKER: NodeTls(authority.cert_pem, issue(authority, "worker", now=now)),
    }


def _name(text: str) -> "x509.Name":
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _draft(
    subject: "x509.Name", key: "EllipticCurvePrivateKey", now: datetime | None
) -> "x509.CertificateBuilder":
    from cryptography import x509

    first = (now or datetime.now(UTC)) - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(first + timedelta(days=VALID_DAYS))
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
