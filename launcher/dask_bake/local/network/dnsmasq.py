"""DHCP and DNS of the instances' network, by dnsmasq: it knows every address beforehand and asks nobody."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dask_bake.errors import BakeError
from dask_bake.local.network.bridge import Network, mac_address
from dask_bake.local.settings import S3_DOMAIN, Settings
from dask_bake.system.subprocesses import start, stop

if TYPE_CHECKING:
    from subprocess import Popen


def dnsmasq_command(network: Network, *, hosts: Path, leases: Path) -> list[str]:
    """The command line of the DHCP and DNS server, which knows every address beforehand and asks nobody."""
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
        "--dhcp-authoritative",
        "--dhcp-rapid-commit",
        "--no-ping",
        "--no-hosts",
        "--no-resolv",
        f"--address=/{S3_DOMAIN}/{gateway}",
        "--address=/#/",
    ]


def start_dnsmasq(settings: Settings, network: Network, log: int) -> "Popen[str]":
    """Start the DHCP and DNS server of the bridge, and return when it serves.

    Raises:
        BakeError: when it does not.
    """
    hosts = settings.runtime / "dhcp-hosts"
    hosts.write_text("".join(f"{mac_address(str(ip))},{ip}\n" for ip in network.block.hosts()))
    command = dnsmasq_command(network, hosts=hosts, leases=settings.runtime / "dhcp-leases")
    try:
        process = start(command, stdout=log, stderr=log)
    except OSError as error:
        raise BakeError(f"dnsmasq could not be started: {error}.") from error
    try:
        wait_for_dnsmasq(process.poll, settings.log)
    except BakeError:
        stop(process)
        raise
    return process


def wait_for_dnsmasq(poll: Callable[[], int | None], log: Path, *, patience: float = 10) -> None:
    """Return when dnsmasq has its sockets and says so; ``poll`` tells its exit code once it has ended.

    Raises:
        BakeError: with what it said last, when it ended, or did not start in so many seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        ended = poll() is not None
        said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("dnsmasq")]
        if ended:
            raise BakeError(
                f"The DHCP and DNS server ended at once: {said[-1] if said else 'it said nothing'}."
            )
        if any(": started" in line for line in said):
            return
        if time.monotonic() > deadline:
            raise BakeError("The DHCP and DNS server did not start.", hint=f"See {log}.")
        time.sleep(0.01)
