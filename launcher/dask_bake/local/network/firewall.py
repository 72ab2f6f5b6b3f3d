"""What keeps the instances' network to itself, as nftables rules.

Instances reach the host's DHCP, DNS, metadata and S3; nothing else of it, and nothing beyond it. The metadata
address is answered for packets that enter from the bridge; the host's own stays untouched.
"""

from dask_bake.local.network.bridge import METADATA_ADDRESS, METADATA_PORT, S3_PORT, Network
from dask_bake.system.subprocesses import RUN_TIMEOUT, attempt, run, run_with_timeout

FAMILIES = ("ip", "inet", "bridge")
"""Where nftables has a table of ours: the network's own, who reaches an instance, who an instance may be."""


def firewall_table(bridge: str) -> str:
    """The name of the nftables tables of a local cloud, one in each of ``FAMILIES``."""
    return bridge.replace("-", "_")


def firewall_rules(network: Network) -> str:
    """The rules, in nft's language: metadata is answered, a few services are open, only replies go beyond."""
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
    iifname != "{bridge}" accept
    ct state established,related accept
    udp dport {{ 53, 67 }} accept
    tcp dport {{ 53, {S3_PORT}, {METADATA_PORT} }} ip daddr {gateway} accept
    icmp type echo-request accept
    reject
  }}
  chain beyond_host {{
    type filter hook forward priority filter;
    iifname "{bridge}" oifname != "{bridge}" ct state != {{ established, related }} reject
  }}
}}
"""


def raise_firewall(network: Network) -> None:
    """Load the rules."""
    run(["nft", "-f", "-"], text=firewall_rules(network))


def lower_firewall(bridge: str) -> None:
    """Remove the rules, and those of the security groups."""
    for family in FAMILIES:
        attempt(["nft", "delete", "table", family, firewall_table(bridge)])


def firewall_stands(bridge: str) -> bool:
    """Whether a table of this local cloud exists."""
    listed = run_with_timeout(["nft", "list", "tables"], RUN_TIMEOUT)
    ours = {f"table {family} {firewall_table(bridge)}" for family in FAMILIES}
    return not ours.isdisjoint(listed.stdout.splitlines())
