"""DHCP and DNS of the instances' network, by a dnsmasq with static leases and no upstream servers."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dask_bake.errors import BakeError
from dask_bake.local.network.bridge import MTU, Network, mac_address
from dask_bake.local.settings import S3_DOMAIN, Settings
from dask_bake.system.subprocesses import start, stop

if TYPE_CHECKING:
    from subprocess import Popen


def dnsmasq_command(network: Network, *, hosts: Path, leases: Path) -> list[str]:
    """Return the command line of the DHCP and DNS server."""
    gateway = network.gateway
    return [
        "dnsmasq",
        "--keep-in-foreground",
        "--log-facility=-",
        "--quiet-dhcp",
        "--conf-file=/dev/null",
        "--user=root",
        "--pid-file=",
        f"--interface={network.bridge}",
        "--except-interface=lo",
        "--bind-interfaces",
        f"--dhcp-range={network.block.network_address},static,{network.block.netmask},12h",
        f"--dhcp-hostsfile={hosts}",
        f"--dhcp-leasefile={leases}",
        f"--dhcp-lease-max={network.block.num_addresses}",
        f"--dhcp-option=option:router,{gateway}",
        f"--dhcp-option=option:dns-server,{gateway}",
        f"--dhcp-option=option:mtu,{MTU}",
        "--dhcp-authoritative",
        "--dhcp-rapid-commit",
        "--no-ping",
        "--no-hosts",
        "--no-resolv",
        f"--address=/{S3_DOMAIN}/{gateway}",
        "--address=/#/",
    ]


def start_dnsmasq(settings: Settings, network: Network, log: int) -> "Popen[str]":
    """Start the DHCP and DNS server of the bridge, and return when it is ready.

    Raises:
        BakeError: when it does not start.
    """
    hosts = settings.runtime / "dhcp-hosts"
    hosts.write_text("".join(f"{mac_address(str(ip))},{ip}\n" for ip in network.block.hosts()))
    command = dnsmasq_command(network, hosts=hosts, leases=settings.runtime / "dhcp-leases")
    try:
        process = start(command, stdout=log, stderr=log)
    except OSError as error:
        raise BakeError(f"dnsmasq could not be started: {error}") from error
    try:
        wait_for_dnsmasq(process.poll, settings.log)
    except BakeError:
        stop(process)
        raise
    return process


def wait_for_dnsmasq(poll: Callable[[], int | None], log: Path, *, timeout: float = 10) -> None:
    """Return when dnsmasq logs that it has started; ``poll`` returns its exit code once it has ended.

    Raises:
        BakeError: with its last line, when it has ended, or is not ready after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        ended = poll() is not None
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("dnsmasq")]
        if ended:
            raise BakeError(
                f"the DHCP and DNS server ended at once: {lines[-1] if lines else 'it printed nothing'}"
            )
        if any(": started" in line for line in lines):
            return
        if time.monotonic() > deadline:
            raise BakeError(f"the DHCP and DNS server did not start within {timeout:g} s", hint=f"see {log}")
        time.sleep(0.01)
