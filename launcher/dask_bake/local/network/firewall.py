"""nftables rules that isolate the instances' network.

Instances reach the host's DHCP, DNS, metadata and S3, and nothing else of the host or beyond it. The metadata
address is redirected for packets from the bridge alone; the host's own metadata service is not affected.

Metadata and S3 accept only redirected connections: nodes close 169.254.169.254 to tasks, so the service must
not answer at any other address. What listens at the gateway's address is for instances alone, although Linux
also accepts packets for it that arrive at another interface.
"""

from dask_bake.local.network.bridge import METADATA_ADDRESS, METADATA_PORT, S3_PORT, Network
from dask_bake.system.subprocesses import RUN_TIMEOUT, attempt, run, run_with_timeout

FAMILIES = ("ip", "inet", "bridge")
"""Families with a table of ours: isolation of the network, security groups, and source addresses."""


def firewall_table(bridge: str) -> str:
    """Return the name of a local cloud's nftables tables, one in each of ``FAMILIES``.

    It has an underscore, as no keyword of nft has: nft rejects a keyword as a name, quoted too.
    """
    name = bridge.replace("-", "_")
    return name if "_" in name else f"_{name}"


def firewall_rules(network: Network) -> str:
    """Return the isolation rules in nft's language."""
    bridge, gateway = network.bridge, network.gateway
    return f"""
table ip {firewall_table(bridge)} {{
  chain metadata {{
    type nat hook prerouting priority dstnat;
    iifname "{bridge}" ip daddr {METADATA_ADDRESS} tcp dport 80 dnat to {gateway}:{METADATA_PORT}
    iifname "{bridge}" ip daddr {gateway} tcp dport 80 dnat to {gateway}:{S3_PORT}
  }}
  chain to_host {{
    type filter hook input priority filter;
    ct state established,related accept
    iifname "lo" ip daddr {gateway} reject
    iifname != "{bridge}" ip daddr {gateway} drop
    iifname != "{bridge}" accept
    udp dport {{ 53, 67 }} accept
    ip daddr {gateway} tcp dport 53 accept
    ct status dnat ip daddr {gateway} tcp dport {{ {S3_PORT}, {METADATA_PORT} }} accept
    icmp type echo-request accept
    reject
  }}
  chain beyond_host {{
    type filter hook forward priority filter;
    iifname "{bridge}" oifname != "{bridge}" ct state != {{ established, related }} reject
  }}
}}
"""


def load_firewall(network: Network) -> None:
    """Load the isolation rules."""
    run(["nft", "-f", "-"], text=firewall_rules(network))


def remove_firewall(bridge: str) -> None:
    """Remove all tables, those of the security groups too."""
    for family in FAMILIES:
        attempt(["nft", "delete", "table", family, firewall_table(bridge)])


def firewall_exists(bridge: str) -> bool:
    """Return whether a table of this local cloud exists."""
    listed = run_with_timeout(["nft", "list", "tables"], RUN_TIMEOUT)
    ours = {f"table {family} {firewall_table(bridge)}" for family in FAMILIES}
    return not ours.isdisjoint(listed.stdout.splitlines())
