"""Commands in hints can be copied and run, and are about the same cluster."""

from dataclasses import replace

import pytest

from dask_bake.cli import main
from dask_bake.cli.options import CloudFlags, cloud_options
from dask_bake.cli.session import open_cloud
from dask_bake.clusters.naming import already_there
from dask_bake.clusters.ssh_access import ssh_group
from dask_bake.clusters.teardown import TaggedResources, Teardown
from dask_bake.errors import BakeError
from dask_bake.events import Note
from dask_bake.hints import (
    MARK,
    cluster_command,
    command_line,
    complete,
    flags_of,
    in_region,
    python_call,
)
from dask_bake.models.owner import Owner
from dask_bake.ssh.command import Forward, Host, host
from dask_bake.ssh.tunnel import Tunnel
from dask_bake.view.terminal import Terminal
from fakes import FakeClock, FakeCloud, Fault, a_cluster

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

    assert complete(command_line("down", "dask"), flags) == words


def test_the_python_call_has_the_same_arguments_as_the_command():
    assert python_call("dask", flags=FLAGS) == 'connect("dask", region="eu-west-1", profile="my work")'
    assert python_call() == "connect()"


def test_flags_can_be_turned_to_another_region():
    assert in_region(("--cloud", "aws", "--region", "a"), "b") == ("--cloud", "aws", "--region", "b")


def test_a_command_can_name_its_own_region():
    reap = command_line("reap", region="eu-west-1")

    assert complete(reap) == "dask-bake reap --region eu-west-1"
    assert complete(reap, ("--region", "a", "--cloud", "aws")) == (
        "dask-bake reap --cloud aws --region eu-west-1"
    )


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (cluster_command("down", "dask"), DOWN),
        (
            cluster_command("ssh", "dask", "2"),
            "dask-bake ssh dask 2 --region eu-west-1 --profile 'my work'",
        ),
        (cluster_command("extend", "dask"), "dask-bake extend dask --region eu-west-1 --profile 'my work'"),
    ],
)
def test_a_command_about_a_cluster_names_it(command, words):
    assert complete(command, FLAGS) == words


def test_text_around_commands_stays():
    hint = f"{command_line('status', 'a')} --json shows it, {command_line('down', 'a')} ends it"

    assert complete(hint) == "dask-bake status a --json shows it, dask-bake down a ends it"
    assert complete(hint, ("--cloud", "aws")) == (
        "dask-bake status a --cloud aws --json shows it, dask-bake down a --cloud aws ends it"
    )
    assert complete("{0} {flags} %s") == "{0} {flags} %s"


def hint_after(act) -> str:
    with pytest.raises(BakeError) as caught:
        act()
    return complete(str(caught.value.hint), FLAGS)


def a_teardown(cloud, **more):
    clock = FakeClock()
    return Teardown(TaggedResources(cloud, "dask", {}), lambda _: None, clock, clock.sleep, **more)


def test_commands_that_end_a_cluster_have_the_flags_of_its_cloud_and_region():
    cluster = a_cluster()
    refusing = FakeCloud(faults=[Fault("nodes", BakeError("no"))])

    assert hint_after(a_teardown(refusing).run) == DOWN
    assert hint_after(lambda: ssh_group(replace(cluster, groups=()))) == f"{DOWN} ends it"
    headless = replace(cluster, nodes=cluster.nodes[1:])
    assert hint_after(lambda: host(headless, headless.nodes[0], None)) == DOWN
    assert DOWN in hint_after(lambda: throw(already_there("dask", ["anna"], Owner("anna"))))


def throw(error):
    raise error


def test_the_flags_that_a_command_was_given_are_those_of_its_terminal():
    """What the environment sets, here AWS_DEFAULT_REGION, is not repeated."""
    terminal, there = open_cloud(CloudFlags("aws", "eu-west-1"))
    untold, here = open_cloud(CloudFlags("aws"))

    assert (terminal.flags, there.region) == (("--cloud", "aws", "--region", "eu-west-1"), "eu-west-1")
    assert (untold.flags, here.region) == (("--cloud", "aws"), "us-east-1")


def test_the_terminal_completes_the_commands_in_notes(capsys):
    Terminal(flags=FLAGS).notify(Note(f"{command_line('down', 'dask')} does."))

    assert capsys.readouterr().err == f"{DOWN} does.\n"


@main.cli.command(hidden=True)
@cloud_options
def failing(cloud_flags: CloudFlags) -> int:
    """Fail with a hint, once the cloud is known."""
    open_cloud(cloud_flags)
    raise BakeError("no", hint=f"{command_line('down', 'dask')} ends it")


def test_errors_of_a_command_get_the_flags_that_it_was_given(capsys):
    assert main.run(["failing", "--cloud", "aws", "--region", "eu-west-1"]) == 1

    errors = capsys.readouterr().err
    assert "Hint: dask-bake down dask --cloud aws --region eu-west-1 ends it" in errors
    assert MARK not in errors


def test_a_tunnel_that_does_not_open_names_the_cluster_that_status_shows(tmp_path):
    tunnel = Tunnel(
        Host("admin", "10.0.0.4", "x", tmp_path, tmp_path), [Forward(1, 1)], answers=lambda _: False
    )

    hint = hint_after(lambda: tunnel.wait(0, status=cluster_command("status", "dask")))

    assert "dask-bake status dask --region eu-west-1 --profile 'my work' shows it" in hint
