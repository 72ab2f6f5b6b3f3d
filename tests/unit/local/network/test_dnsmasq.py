"""dnsmasq: its command line, and waiting for its start."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.network.bridge import Network
from dask_bake.local.network.dnsmasq import dnsmasq_command, wait_for_dnsmasq

NETWORK = Network("dask-bake", IPv4Network("10.213.0.0/24"))


def test_dnsmasq_serves_the_bridge_only_and_forwards_no_queries():
    command = dnsmasq_command(NETWORK, hosts=Path("/run/x/dhcp-hosts"), leases=Path("/run/x/dhcp-leases"))

    assert command == [
        "dnsmasq",
        "--keep-in-foreground",
        "--log-facility=-",
        "--quiet-dhcp",
        "--conf-file=/dev/null",
        "--user=root",
        "--pid-file=",
        "--interface=dask-bake",
        "--except-interface=lo",
        "--bind-interfaces",
        "--dhcp-range=10.213.0.0,static,255.255.255.0,12h",
        "--dhcp-hostsfile=/run/x/dhcp-hosts",
        "--dhcp-leasefile=/run/x/dhcp-leases",
        "--dhcp-lease-max=256",
        "--dhcp-option=option:router,10.213.0.1",
        "--dhcp-option=option:dns-server,10.213.0.1",
        "--dhcp-option=option:mtu,9001",
        "--dhcp-authoritative",
        "--dhcp-rapid-commit",
        "--no-ping",
        "--no-hosts",
        "--no-resolv",
        "--address=/s3.dask-bake.internal/10.213.0.1",
        "--address=/#/",
    ]


def test_dnsmasq_is_ready_when_its_log_says_so(tmp_path):
    log = tmp_path / "server.log"
    log.write_text("something else\n")

    def poll() -> None:
        log.write_text("something else\ndnsmasq[7]: started, version 2.90 cachesize 150\n")

    wait_for_dnsmasq(poll, log, timeout=0)


def test_if_dnsmasq_ends_at_once_the_error_has_its_message(tmp_path):
    log = tmp_path / "server.log"
    line = "dnsmasq: failed to create listening socket for 10.213.0.1: Address already in use"
    log.write_text(f"\n{line}\n")

    with pytest.raises(BakeError) as caught:
        wait_for_dnsmasq(lambda: 2, log)

    assert caught.value.message == f"the DHCP and DNS server ended at once: {line}"


def test_waiting_for_dnsmasq_has_a_time_limit(tmp_path):
    log = tmp_path / "server.log"
    log.touch()

    with pytest.raises(BakeError, match="did not start within 0 s") as caught:
        wait_for_dnsmasq(lambda: None, log, timeout=0)

    assert caught.value.hint == f"see {log}"
