"""A command that a hint names can be copied and run: it finds the same cluster."""

from dataclasses import replace

import pytest

from dask_bake.errors import BakeError
from dask_bake.inventory import find
from dask_bake.own_commands import flags_of, in_region, own_command
from dask_bake.preflight import already_there, ended_by_itself
from dask_bake.removal import Removal
from dask_bake.ssh import host
from dask_bake.ssh_rules import ssh_group
from fakes import CLOUD, FakeClock, FakeCloud, Fault, a_cluster, a_plan

FLAGS = ("--region", "eu-west-1", "--profile", "my work")
DOWN = "dask-bake down dask --region eu-west-1 --profile 'my work'"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "dask-bake down dask"),
        ({"cloud": "local"}, "dask-bake down dask --cloud local"),
        ({"region": "eu-west-1", "profile": "my work"}, DOWN),
    ],
)
def test_a_command_has_the_flags_that_were_given_quoted_for_the_shell(given, words):
    flags = flags_of(**{"cloud": None, "region": None, "profile": None, **given})

    assert own_command("down", "dask", flags=flags) == words


def test_flags_can_be_turned_to_another_region():
    assert in_region(("--cloud", "aws", "--region", "a"), "b") == ("--cloud", "aws", "--region", "b")


def test_a_cluster_that_was_found_knows_its_commands():
    cloud = FakeCloud()
    plan = a_plan()
    cloud.create_security_group(plan.group_name, vpc_id="vpc-1", tags=plan.group_tags)

    found = find(cloud, replace(CLOUD, flags=FLAGS), None)

    assert found.command("down") == DOWN
    assert found.command("ssh", "2") == "dask-bake ssh 2 --name dask --region eu-west-1 --profile 'my work'"
    assert found.command("extend") == "dask-bake extend dask --region eu-west-1 --profile 'my work'"


def said(act) -> str:
    with pytest.raises(BakeError) as caught:
        act()
    return str(caught.value.hint)


def a_removal(cloud, **more):
    clock = FakeClock()
    return Removal(cloud, "dask", {}, lambda _: None, clock, clock.sleep, flags=FLAGS, **more)


def test_whatever_names_the_command_that_ends_a_cluster_says_where_it_is():
    cluster = replace(a_cluster(), flags=FLAGS)
    refusing = FakeCloud(faults=[Fault("nodes", BakeError("no"))])

    assert said(a_removal(refusing).run) == DOWN
    assert said(lambda: ssh_group(replace(cluster, groups=()))) == f"{DOWN} ends it"
    headless = replace(cluster, nodes=cluster.nodes[1:])
    assert said(lambda: host(headless, headless.nodes[0], None)) == DOWN
    assert DOWN in str(already_there("dask", FLAGS).hint)
    assert DOWN in str(ended_by_itself("dask", FLAGS).hint)
