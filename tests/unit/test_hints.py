"""A command that a hint names can be copied and run: it finds the same cluster."""

from dataclasses import replace

import pytest

from dask_bake.cli.options import Where
from dask_bake.cli.session import open_cloud
from dask_bake.clusters.inventory import find
from dask_bake.clusters.naming import already_there, ended_by_itself
from dask_bake.clusters.ssh_access import ssh_group
from dask_bake.clusters.teardown import Removal
from dask_bake.errors import BakeError
from dask_bake.hints import flags_of, in_region, own_call, own_command
from dask_bake.ssh.command import Forward, Host, host
from dask_bake.ssh.tunnel import Tunnel
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


def test_the_call_in_python_says_the_same():
    assert own_call("dask", flags=FLAGS) == 'connect("dask", region="eu-west-1", profile="my work")'
    assert own_call() == "connect()"


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


def test_the_flags_that_a_command_was_given_are_those_of_its_cloud():
    """What the environment says, as AWS_DEFAULT_REGION does here, need not be said again."""
    _, told = open_cloud(Where("aws", "eu-west-1"))
    _, untold = open_cloud(Where("aws"))

    assert (told.flags, told.region) == (("--cloud", "aws", "--region", "eu-west-1"), "eu-west-1")
    assert (untold.flags, untold.region) == (("--cloud", "aws"), "us-east-1")


def test_a_tunnel_that_does_not_open_names_the_cluster_that_status_shows(tmp_path):
    tunnel = Tunnel(
        Host("admin", "10.0.0.4", "x", tmp_path, tmp_path), [Forward(1, 1)], answers=lambda _: False
    )

    hint = said(lambda: tunnel.wait(0, status=replace(a_cluster(), flags=FLAGS).command("status")))

    assert "dask-bake status dask --region eu-west-1 --profile 'my work' shows it" in hint
