"""Dask's scheduler, workers and clients accept the cluster's certificates, and no others."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from distributed import Client, Scheduler, Security, Worker, worker_client

from dask_bake.cloud_init.certificates import CLOCK_SKEW, VALID_DAYS, create_authority, issue, issue_for_nodes
from dask_bake.models.cloud import Role

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def security(authority, *roles, ca=None):
    """Return the configuration of a process with these roles."""
    values = {}
    for name, certificate in roles:
        values[f"tls_{name}_cert"] = certificate.cert_pem
        values[f"tls_{name}_key"] = certificate.key_pem
    return Security(require_encryption=True, tls_ca_file=(ca or authority).cert_pem, **values)


async def with_cluster(authority, use):
    """Return the result of `use`, called with the address of a scheduler that has one worker."""
    serving = security(authority, ("scheduler", issue(authority, "scheduler")))
    own = issue(authority, "worker")
    working = security(authority, ("worker", own), ("client", own))
    async with (
        scheduling(serving) as scheduler,
        Worker(scheduler.address, nthreads=1, security=working, dashboard=False),
    ):
        return await use(scheduler.address)


def scheduling(secured):
    """Return a scheduler on a free port."""
    return Scheduler(port=0, host="127.0.0.1", security=secured, dashboard_address="127.0.0.1:0")


async def computed(address, secured):
    """Compute a sum by a client, in a task that is a client as well."""
    async with Client(address, security=secured, asynchronous=True, timeout="5s") as client:
        return await client.submit(ask_another, 3)


def ask_another(number):
    with worker_client() as client:
        return client.submit(sum, range(number + 1)).result()


def test_scheduler_worker_and_client_of_one_cluster_compute():
    authority = create_authority("dask")
    secured = security(authority, ("client", issue(authority, "client")))

    assert asyncio.run(with_cluster(authority, lambda address: computed(address, secured))) == 6


def test_a_client_without_a_certificate_is_refused():
    """Plain TCP to the same port."""

    async def try_plain(address):
        with pytest.raises(OSError, match=r"Timed out|closed|reset|refused"):
            await Client(address.replace("tls://", "tcp://"), asynchronous=True, timeout="2s")

    asyncio.run(with_cluster(create_authority("dask"), try_plain))


def test_another_authority_s_client_is_refused():
    """Even if it trusts the scheduler, and its cluster has the same name."""
    ours, other = create_authority("dask"), create_authority("dask")
    secured = security(other, ("client", issue(other, "client")), ca=ours)

    async def try_other(address):
        with pytest.raises(OSError, match=r"Timed out|alert|closed|reset"):
            await Client(address, security=secured, asynchronous=True, timeout="2s")

    asyncio.run(with_cluster(ours, try_other))


def test_a_client_s_certificate_is_not_accepted_as_a_scheduler_s():
    """A client can use the cluster but not impersonate it."""
    authority = create_authority("dask")
    serving = security(authority, ("scheduler", issue(authority, "client")))
    secured = security(authority, ("client", issue(authority, "client")))

    async def connect():
        async with scheduling(serving) as scheduler:
            with pytest.raises(OSError, match="certificate"):
                await Client(scheduler.address, security=secured, asynchronous=True, timeout="2s")

    asyncio.run(connect())


def strict(authority, role, protocol, folder):
    """Return one end of a connection, with a certificate of the role and strict verification."""
    certificate = issue(authority, role)
    (folder / f"{role}.pem").write_text(certificate.cert_pem + certificate.key_pem)
    context = ssl.SSLContext(protocol)
    context.load_verify_locations(cadata=authority.cert_pem)
    context.load_cert_chain(folder / f"{role}.pem")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("role", ["scheduler", "worker", "client"])
def test_certificates_pass_python_s_strict_verification(role, tmp_path):
    """Newer versions of Python verify strictly by default."""
    authority = create_authority("dask")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = strict(authority, "worker", ssl.PROTOCOL_TLS_SERVER, tmp_path).wrap_bio(there, back, True)
    client = strict(authority, role, ssl.PROTOCOL_TLS_CLIENT, tmp_path).wrap_bio(back, there)
    for end in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()

    assert server.getpeercert()["subject"] == ((("commonName", f"dask {role}"),),)
    assert client.getpeercert()["subject"] == ((("commonName", "dask worker"),),)


def test_certificates_are_valid_for_a_year_from_yesterday_and_name_no_host():
    authority = create_authority("dask", now=NOW)
    for pem in (authority.cert_pem, issue(authority, "worker", now=NOW).cert_pem):
        read = x509.load_pem_x509_certificate(pem.encode())
        assert read.not_valid_before_utc == NOW - CLOCK_SKEW
        assert read.not_valid_after_utc == NOW - CLOCK_SKEW + timedelta(days=VALID_DAYS)
        with pytest.raises(x509.ExtensionNotFound):
            read.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert 30 <= VALID_DAYS <= 397


def test_a_client_s_certificate_has_client_authentication_only():
    authority = create_authority("dask")
    uses = {
        role: set(
            x509.load_pem_x509_certificate(issue(authority, role).cert_pem.encode())
            .extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            .value
        )
        for role in ("scheduler", "worker", "client")
    }
    both = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}

    assert uses == {"scheduler": both, "worker": both, "client": {ExtendedKeyUsageOID.CLIENT_AUTH}}


def test_no_node_gets_the_private_key_of_the_ca():
    authority = create_authority("dask")
    issued = issue_for_nodes(authority)

    assert authority.key_pem not in repr(issued)
    assert {role: tls.ca for role, tls in issued.items()} == dict.fromkeys(Role, authority.cert_pem)
    assert issued[Role.HEAD].client is not None
    assert issued[Role.WORKER].client is None
