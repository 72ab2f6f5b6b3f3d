"""``connect()``, as far as it needs no cluster in a cloud."""

import asyncio
import threading
import urllib.error
import urllib.request

import dask
import pytest
from distributed import Client, LocalCluster
from distributed.security import Security
from moto import mock_aws

import dask_bake
from dask_bake import api
from dask_bake.client import node
from dask_bake.client.connect import Connecting, TunnelledClient, connect, seconds_of
from dask_bake.client.link import Link
from dask_bake.cloud_init.certificates import issue
from dask_bake.errors import BakeError, UsageError
from dask_bake.launch.bootstrap import keys_for
from dask_bake.options.launch import LaunchOptions
from dask_bake.ssh.keystore import Keystore
from fakes import a_cluster
from http_servers import serving
from unix_forward import ForwardedTunnel


@pytest.fixture(scope="module")
def scheduler():
    """Return the port of a scheduler with one worker."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=":0"
    ) as cluster:
        yield int(cluster.scheduler_address.rpartition(":")[2])


@pytest.fixture
def link(scheduler):
    with serving(lambda _: (200, "the dashboard")) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        link = Link(a_cluster(), {}, ForwardedTunnel(scheduler, port).opened)
        yield link
        link.close()


def opened(link: str) -> str:
    """Return the page as a browser gets it."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(link, timeout=10) as answer:
        return answer.read().decode()


def test_the_client_s_dashboard_link_works_and_nobody_else_s_does(link):
    with TunnelledClient(link) as client:
        assert client.submit(sum, range(100)).result(timeout=30) == 4950
        assert opened(client.dashboard_link) == "the dashboard"
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(client.dashboard_link.partition("?")[0], timeout=10)
        caught.value.close()
    with pytest.raises(OSError, match="refused"):
        opened(client.dashboard_link)


def test_an_asynchronous_client_is_awaited_or_entered(link):
    async def use():
        connecting = Connecting(lambda: link, (), {"asynchronous": True, "set_as_default": False})
        async with connecting as client:
            assert await client.submit(sum, range(100)) == 4950
        with pytest.raises(OSError, match="refused"):
            opened(client.dashboard_link)

    asyncio.run(use())


def test_an_asynchronous_client_s_errors_have_their_hint():
    def refuse():
        raise BakeError("the cluster is gone", hint="dask-bake status")

    async def use():
        await Connecting(refuse, (), {"asynchronous": True})

    with pytest.raises(BakeError, match=r"^the cluster is gone\nHint: dask-bake status$"):
        asyncio.run(use())


def test_a_client_is_the_default_only_if_asked_for(link):
    client = TunnelledClient(link, set_as_default=False)
    try:
        with pytest.raises(ValueError, match="No clients found"):
            Client.current()
    finally:
        client.close()


def test_a_tunnel_that_cannot_be_opened_is_its_error():
    def refuse(_):
        raise BakeError("no SSH connection")

    with pytest.raises(BakeError, match=r"^no SSH connection$"):
        Link(a_cluster(), {}, refuse)


@pytest.fixture
def secured():
    """Return the port of a TLS scheduler with one worker, and the keys of its cluster."""
    keys = keys_for(LaunchOptions(tls=True))
    own = issue(keys.tls.authority, "scheduler")
    names = ("scheduler", "worker", "client")
    pairs = {f"tls_{name}_cert": own.cert_pem for name in names} | {
        f"tls_{name}_key": own.key_pem for name in names
    }
    security = Security(require_encryption=True, tls_ca_file=keys.tls.authority.cert_pem, **pairs)
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls://",
        security=security,
        dashboard_address=":0",
    ) as local:
        yield int(local.scheduler_address.rpartition(":")[2]), keys


def files_of(keys, folder):
    """Write the keys, and return the client's files by Dask's parameter names."""
    keystore = Keystore(folder, "launch")
    keystore.write(keys)
    return {
        "tls_ca_file": str(keystore.ca_file),
        "tls_client_cert": str(keystore.client_cert),
        "tls_client_key": str(keystore.client_key),
    }


def test_a_client_with_the_cluster_s_certificates_computes_through_the_tunnel(secured, tmp_path):
    port, keys = secured
    tunnel = ForwardedTunnel(port, port)
    link = Link(a_cluster(), files_of(keys, tmp_path / "keys"), tunnel.opened)

    with TunnelledClient(link) as client:
        assert client.submit(sum, range(100)).result(timeout=60) == 4950
        assert client.scheduler.address.startswith("dask-bake-tls:///")

    assert tunnel.is_closed


def test_without_the_cluster_s_own_certificates_the_scheduler_refuses_a_client(secured, tmp_path):
    port, _ = secured
    foreign = files_of(keys_for(LaunchOptions(tls=True)), tmp_path / "keys")

    for tls in ({}, foreign):
        tunnel = ForwardedTunnel(port, port)
        with pytest.raises(OSError, match=r"Timed out|closed|reset|certificate|alert"):
            TunnelledClient(Link(a_cluster(), tls, tunnel.opened), timeout="2s")
        assert tunnel.is_closed
        assert "dask-bake tunnel" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("inf"), None, "3 GiB"])
def test_a_time_out_that_is_none_is_refused(timeout):
    with pytest.raises(UsageError, match="is not a time"):
        seconds_of(timeout)


@pytest.mark.parametrize(("timeout", "seconds"), [(3, 3.0), ("10s", 10.0), ("500ms", 0.5), (1.5, 1.5)])
def test_a_time_out_is_written_as_in_dask(timeout, seconds):
    assert seconds_of(timeout) == seconds


def test_the_public_names_are_the_package_s_and_also_at_their_former_address():
    assert dask_bake.connect is api.connect is connect
    assert {"BakeCluster", "connect", "down", "launch"} <= set(dir(dask_bake))
    assert dask_bake.launch.__name__ == "launch"  # although there is a package of that name
    with pytest.raises(AttributeError, match="has no attribute 'launched'"):
        dask_bake.launched  # noqa: B018


CALLS = [{"name": "mine"}, {"region": "us-east-1"}, {"profile": "p"}, {"cloud": "aws"}]


@pytest.mark.parametrize("given", CALLS)
def test_what_the_call_says_precedes_an_address_in_the_configuration(given, monkeypatch, tmp_path):
    monkeypatch.setattr(node, "NODE_FILE", tmp_path)
    address, says = {"scheduler-address": "tcp://127.0.0.1:9"}, r"there is no cluster|profile \(p\)"
    with dask.config.set(address), mock_aws(), pytest.raises(UsageError, match=says):
        connect(**given)


@pytest.mark.parametrize(("is_node", "error"), [(True, OSError), (False, UsageError)])
def test_without_arguments_an_address_in_the_configuration_is_used_on_a_node_only(
    is_node, error, monkeypatch, tmp_path
):
    monkeypatch.setattr(node, "NODE_FILE", tmp_path / ("" if is_node else "none"))
    settings = {"scheduler-address": "tcp://127.0.0.1:9", "distributed.comm.timeouts.connect": "0.1s"}
    with dask.config.set(settings), mock_aws(), pytest.raises(error):
        connect()


@pytest.mark.parametrize("credentials", ["profile", "mine", ""])
def test_only_forwarding_can_be_chosen_for_a_client(credentials):
    with pytest.raises(UsageError, match="is not a choice of connect") as raised:
        connect("dask", credentials=credentials)

    assert raised.value.hint.startswith('credentials="forward" sends yours')


def test_what_belongs_to_a_link_is_ended_once_before_ssh(scheduler):
    tunnel, states = ForwardedTunnel(scheduler, scheduler), []
    link = Link(a_cluster(), {}, tunnel.opened)
    link.on_close(lambda: states.append(link.scheduler_socket.exists()))
    link.close()
    link.close()
    assert states == [True]
