"""nftables rules for security groups."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from dask_bake.local.network.security_groups import ANYWHERE, Group, IngressRule, Port, render_rules

CALLER = IPv4Network("10.213.0.1/32")
HEAD, WORKER, OTHER = (IPv4Address(f"10.213.0.{number}") for number in (4, 5, 9))


def rules_of(*rules, groups=()):
    """Return the nftables lines for the rules of one security group."""
    text = render_rules("dask-bake", [Group("sg-1", rules, (HEAD,)), *groups], [])
    return [line.strip() for line in text.partition("chain rules_sg_1 {")[2].partition("}")[0].split("\n")][
        1:-1
    ]


def test_the_nftables_rules_of_a_cluster():
    cluster = Group("sg-0a", (IngressRule("-1", "sg-0a"), IngressRule("tcp", CALLER, 22, 22)), (HEAD, WORKER))

    assert (
        render_rules("dask-bake", [cluster], [Port("vb01", HEAD), Port("vb02", WORKER)])
        == """\
table inet dask_bake
delete table inet dask_bake
table inet dask_bake {
  set in_sg_0a {
    typeof ip saddr
    elements = { 10.213.0.4, 10.213.0.5 }
  }
  chain rules_sg_0a {
    ip saddr @in_sg_0a accept
    ip saddr 10.213.0.1/32 tcp dport 22 accept
  }
  chain to_instances {
    icmp type redirect drop
    ct state established,related accept
    udp sport 67 udp dport 68 accept
    ip daddr @in_sg_0a jump rules_sg_0a
    drop
  }
  chain at_output {
    type filter hook output priority filter;
    oifname "dask-bake" jump to_instances
  }
  chain at_forward {
    type filter hook forward priority filter;
    oifname "dask-bake" jump to_instances
  }
}
table bridge dask_bake
delete table bridge dask_bake
table bridge dask_bake {
  set ports {
    typeof iifname
    elements = { "vb01", "vb02" }
  }
  set own {
    typeof iifname . ip saddr
    elements = { "vb01" . 10.213.0.4, "vb02" . 10.213.0.5 }
  }
  chain from_instances {
    type filter hook prerouting priority filter;
    iifname @ports ether type != { ip, arp } drop
    iifname @ports ip saddr != 0.0.0.0 iifname . ip saddr != @own drop
    iifname @ports arp saddr ip != 0.0.0.0 iifname . arp saddr ip != @own drop
  }
}
"""
    )


def test_all_traffic_of_an_instance_that_is_cut_off_is_dropped():
    text = render_rules("dask-bake", [], [Port("vb01", HEAD), Port("vb02", WORKER, is_cut=True)])

    assert (
        text.partition("  chain to_cut")[2]
        == """ {
    type filter hook output priority filter;
    oifname "vb02" drop
  }
  chain from_instances {
    type filter hook prerouting priority filter;
    iifname "vb02" drop
    iifname @ports ether type != { ip, arp } drop
    iifname @ports ip saddr != 0.0.0.0 iifname . ip saddr != @own drop
    iifname @ports arp saddr ip != 0.0.0.0 iifname . arp saddr ip != @own drop
  }
}
"""
    )


def test_without_instances_all_traffic_is_dropped():
    text = render_rules("dask-bake", [], [])

    assert "drop\n  }\n  chain at_output" in text
    assert "jump rules" not in text
    assert text.endswith("table bridge dask_bake {\n}\n")


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (IngressRule("-1", ANYWHERE), "accept"),
        (IngressRule("-1", CALLER), "ip saddr 10.213.0.1/32 accept"),
        (IngressRule("tcp", ANYWHERE, 22, 22), "tcp dport 22 accept"),
        (IngressRule("tcp", ANYWHERE, 0, 65535), "tcp dport 0-65535 accept"),
        (IngressRule("tcp", ANYWHERE), "meta l4proto tcp accept"),
        (IngressRule("udp", CALLER, 5000, 5010), "ip saddr 10.213.0.1/32 udp dport 5000-5010 accept"),
        (IngressRule("icmp", ANYWHERE), "meta l4proto icmp accept"),
        (IngressRule("icmp", ANYWHERE, 8), "icmp type 8 accept"),
        (IngressRule("icmp", ANYWHERE, 3, 4), "icmp type 3 icmp code 4 accept"),
        (IngressRule("47", CALLER), "ip saddr 10.213.0.1/32 meta l4proto 47 accept"),
    ],
)
def test_each_security_group_rule_is_one_nftables_rule(rule, line):
    assert rules_of(rule) == [line]


def test_a_source_group_is_the_addresses_of_its_members():
    other = Group("sg-2", (), (OTHER,))

    assert rules_of(IngressRule("tcp", "sg-2", 8786, 8786), groups=[other]) == [
        "ip saddr @in_sg_2 tcp dport 8786 accept"
    ]


def test_a_source_group_without_members_allows_no_address():
    empty = Group("sg-2", (), ())

    assert rules_of(IngressRule("-1", "sg-2"), IngressRule("-1", "sg-3"), groups=[empty]) == []


def test_an_instance_in_two_groups_has_the_rules_of_both():
    both = [
        Group(name, (IngressRule("tcp", CALLER, port, port),), (HEAD,))
        for name, port in (("sg-1", 22), ("sg-2", 80))
    ]
    text = render_rules("dask-bake", both, [])

    assert "    ip daddr @in_sg_1 jump rules_sg_1\n    ip daddr @in_sg_2 jump rules_sg_2\n    drop\n" in text
