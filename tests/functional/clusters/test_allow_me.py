"""`allow-me` on moto's EC2."""

import json

import pytest

from dask_bake import clouds
from dask_bake.clusters.naming import ssh_rule
from dask_bake.commands import allow_me
from dask_bake.ec2 import api
from dask_bake.errors import CommandInterruptedError, UsageError
from dask_bake.models.ec2 import Rule
from dask_bake.models.tags import Tag
from dask_bake.ssh.keypair import new_key
from dask_bake.view.terminal import Terminal

OLD, NEW, OFFICE = "192.0.2.7/32", "198.51.100.9/32", "203.0.113.0/24"
TAGS = ((Tag.MANAGED, "true"), (Tag.CLUSTER, "taxi"), (Tag.LAUNCH, "launch1"))
SOMEBODY_S = Rule(OFFICE, "the office", 22)


@pytest.fixture
def cloud():
    return clouds.aws_cloud("us-east-1", {})


@pytest.fixture
def edge(aws, cloud):
    return api.connect(cloud, lambda _: None)


@pytest.fixture
def group(aws, edge):
    """The head's group of a cluster launched from the old address, with a rule that somebody added."""
    (vpc,) = aws.describe_vpcs()["Vpcs"]
    made = edge.create_security_group("dask-bake-taxi/ssh", vpc_id=vpc["VpcId"], tags=TAGS)
    edge.authorize(made, (ssh_rule(OLD), SOMEBODY_S))
    return made


@pytest.fixture
def allow(cloud, edge):
    def run(*, here=NEW, cidr=(), wide=False, dry_run=False, json_output=False):
        options = allow_me.AllowMeOptions(
            cidr=cidr, allow_wide_cidr=wide, dry_run=dry_run, json_output=json_output
        )
        return allow_me.run(options, cloud, edge, Terminal(), lambda: here)

    return run


def allowed_sources(aws, group):
    """Return the sources that the group allows on port 22, each with its rule's description."""
    (found,) = aws.describe_security_groups(GroupIds=[group.id])["SecurityGroups"]
    return {
        (block.get("CidrIp") or block.get("CidrIpv6"), block["Description"])
        for rule in found["IpPermissions"]
        for block in (*rule.get("IpRanges", []), *rule.get("Ipv6Ranges", []))
        if rule["FromPort"] == rule["ToPort"] == 22
    }


LAUNCH_RULE = "SSH from where the cluster was launched"


def test_allow_me_replaces_the_old_address_and_keeps_other_rules(aws, group, allow, capsys):
    assert allow() == 0

    assert allowed_sources(aws, group) == {(NEW, LAUNCH_RULE), (OFFICE, "the office")}
    assert capsys.readouterr().out == f"SSH to taxi is open to {NEW} and is closed to {OLD}.\n"


def test_allow_me_again_reports_no_change(aws, group, allow, capsys):
    allow()
    before = allowed_sources(aws, group)
    capsys.readouterr()

    assert allow() == 0

    assert allowed_sources(aws, group) == before
    assert capsys.readouterr().out == "SSH to taxi is already open to this address; nothing was changed.\n"


def test_an_interrupt_between_authorize_and_revoke_names_the_rules_that_may_be_open(
    aws, group, allow, edge, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(edge, "revoke", interrupted)

    with pytest.raises(
        CommandInterruptedError, match="SSH to taxi may be open to both the new and the old addresses"
    ) as caught:
        allow()

    assert allowed_sources(aws, group) == {(NEW, LAUNCH_RULE), (OLD, LAUNCH_RULE), (OFFICE, "the office")}
    assert caught.value.exit_code == 130
    monkeypatch.undo()
    allow()
    assert allowed_sources(aws, group) == {(NEW, LAUNCH_RULE), (OFFICE, "the office")}


def test_a_dry_run_reports_the_changes_and_makes_none(aws, group, allow, capsys):
    before = allowed_sources(aws, group)

    allow(dry_run=True, json_output=True)

    assert allowed_sources(aws, group) == before
    assert json.loads(capsys.readouterr().out) == {
        "name": "taxi",
        "group": group.id,
        "opened": [NEW],
        "closed": [OLD],
        "dry_run": True,
    }
    allow(dry_run=True)
    assert capsys.readouterr().out == f"SSH to taxi would be opened to {NEW} and would be closed to {OLD}.\n"


def test_given_cidr_blocks_are_allowed_instead_of_this_machine(aws, group, allow):
    allow(cidr=("10.1.2.0/28", "2001:db8::/64"))

    assert allowed_sources(aws, group) == {
        ("10.1.2.0/28", LAUNCH_RULE),
        ("2001:db8::/64", LAUNCH_RULE),
        (OFFICE, "the office"),
    }


@pytest.mark.parametrize(
    ("cidr", "wide", "message"),
    [
        (("0.0.0.0/0",), True, "--cidr 0.0.0.0/0"),
        (("0.0.0.0/1", "128.0.0.0/1"), True, "--cidr 0.0.0.0/1"),
        (("10.0.0.0/8", "11.0.0.0/8"), True, "10.0.0.0/7"),
        (("10.0.0.0/16",), False, "--cidr 10.0.0.0/16"),
    ],
)
def test_a_cidr_block_that_is_too_wide_is_refused(aws, group, allow, cidr, wide, message):
    before = allowed_sources(aws, group)

    with pytest.raises(UsageError, match=message):
        allow(cidr=cidr, wide=wide)
    assert allowed_sources(aws, group) == before


def test_a_wide_cidr_block_is_accepted_with_its_option(aws, group, allow):
    allow(cidr=("10.0.0.0/16",), wide=True)

    assert ("10.0.0.0/16", LAUNCH_RULE) in allowed_sources(aws, group)


def test_removing_a_cluster_deletes_its_key_pair(aws, edge):
    edge.import_key_pair("dask-bake-taxi", public_key=new_key("taxi").public, tags=TAGS)
    edge.import_key_pair("somebody-s", public_key=new_key("other").public, tags=(("whose", "theirs"),))

    for name in edge.key_pairs(dict(TAGS)):
        edge.delete_key_pair(name)

    assert [each["KeyName"] for each in aws.describe_key_pairs()["KeyPairs"]] == ["somebody-s"]


def test_duplicate_and_missing_rules_are_no_errors(aws, group, edge):
    """Another machine changed rules meanwhile; the other rules of the same request are applied."""
    edge.authorize(group, (ssh_rule(OLD), ssh_rule(NEW)))
    edge.revoke(group, (ssh_rule("10.9.9.9/32"), ssh_rule(OLD)))

    assert allowed_sources(aws, group) == {(NEW, LAUNCH_RULE), (OFFICE, "the office")}
