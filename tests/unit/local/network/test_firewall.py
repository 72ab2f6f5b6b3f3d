"""The firewall allows the host's services for instances and nothing else."""

from ipaddress import IPv4Network

from dask_bake.local.network.bridge import Network
from dask_bake.local.network.firewall import firewall_rules, firewall_table

NETWORK = Network("dask-bake", IPv4Network("10.213.0.0/24"))


def test_the_firewall_allows_the_services_for_instances_and_forwards_replies_only():
    assert (
        firewall_rules(NETWORK)
        == """
table ip dask_bake {
  chain metadata {
    type nat hook prerouting priority dstnat;
    iifname "dask-bake" ip daddr 169.254.169.254 tcp dport 80 dnat to 10.213.0.1:8169
    iifname "dask-bake" ip daddr 10.213.0.1 tcp dport 80 dnat to 10.213.0.1:8180
  }
  chain to_host {
    type filter hook input priority filter;
    ct state established,related accept
    iifname "lo" ip daddr 10.213.0.1 reject
    iifname != "dask-bake" ip daddr 10.213.0.1 drop
    iifname != "dask-bake" accept
    udp dport { 53, 67 } accept
    ip daddr 10.213.0.1 tcp dport 53 accept
    ct status dnat ip daddr 10.213.0.1 tcp dport { 8180, 8169 } accept
    icmp type echo-request accept
    reject
  }
  chain beyond_host {
    type filter hook forward priority filter;
    iifname "dask-bake" oifname != "dask-bake" ct state != { established, related } reject
  }
}
"""
    )


def test_each_local_cloud_has_tables_of_its_own():
    names = ("dask-bake", "dask-bake-test", "second")

    assert [firewall_table(name) for name in names] == ["dask_bake", "dask_bake_test", "_second"]


def test_a_table_never_has_the_name_of_a_keyword_of_nft():
    names = ("ip", "inet", "rule", "gc-interval")

    assert [firewall_table(name) for name in names] == ["_ip", "_inet", "_rule", "gc_interval"]
