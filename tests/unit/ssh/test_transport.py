"""SSH transports to the head: exact command lines, and the programs that each one needs."""

import itertools
import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from dask_bake import clouds
from dask_bake.errors import BakeError
from dask_bake.models.cloud import Connect
from dask_bake.ssh.command import host, ssh_command
from dask_bake.ssh.keystore import Keystore
from dask_bake.ssh.transport import (
    Transport,
    check_programs,
    check_version,
    requested_transport,
    transport_of,
)
from fakes import CLOUD, a_cluster, a_plan
from isolation import KEY_PAIR

SECRETS = Keystore(Path("/state/aws-us-east-1-dask"), "launch1")
AWS = {"connect": Connect.SSM, "iaminstance_name": "agent"}
THROUGH = {"connect": Connect.BASTION, "bastion": "me@jump.example", "cidr": ("10.1.2.3/32",)}
SESSION = (
    *("aws", "ssm", "start-session", "--target", "i-0"),
    *("--document-name", "AWS-StartSSHSession", "--parameters", "portNumber=22", "--region", "us-east-1"),
)
TUNNEL = (
    *("aws", "ec2-instance-connect", "open-tunnel", "--instance-id", "i-0", "--remote-port", "22"),
    *("--region", "us-east-1"),
)
THROUGH_ONE = (*TUNNEL[:-2], "--instance-connect-endpoint-id", "eice-1", *TUNNEL[-2:])
BASTION = ("ssh", "-o", "BatchMode=yes", "-W", "[10.0.0.4]:22", "--", "me@jump.example")


def public(cluster):
    """Return the cluster with a public address of the head."""
    head, *workers = cluster.nodes
    return replace(cluster, nodes=(replace(head, public_address="192.0.2.99"), *workers))


@pytest.mark.parametrize(
    ("options", "address", "proxy"),
    [
        ({}, "192.0.2.99", ()),
        (THROUGH, "10.0.0.4", BASTION),
        (AWS, "i-0", SESSION),
        ({"connect": Connect.EICE}, "i-0", TUNNEL),
        ({"connect": Connect.EICE, "endpoint": "eice-1"}, "i-0", THROUGH_ONE),
    ],
    ids=["direct", "bastion", "ssm", "eice", "eice-1"],
)
def test_the_transport_follows_from_the_head_s_tags_as_from_the_launch_s_options(options, address, proxy):
    endpoint = options.get("endpoint")
    plan = a_plan(**{name: value for name, value in options.items() if name != "endpoint"})
    plan = replace(plan, target=replace(plan.target, endpoint=endpoint))
    cluster = public(a_cluster(plan))

    reached = host(cluster, cluster.nodes[0], SECRETS, transport_of(cluster, CLOUD))

    assert (reached.address, reached.proxy) == (address, proxy)
    assert requested_transport(plan.options, CLOUD, endpoint) == transport_of(cluster, CLOUD)
    command = ssh_command(reached)
    carried = [word for word in command if word.startswith("ProxyCommand=")]
    assert carried == ([f"ProxyCommand={shlex.join(proxy)}"] if proxy else [])
    assert command[-1] == address


def test_a_head_without_a_public_address_is_reached_at_its_private_one():
    cluster = a_cluster(a_plan(private=True, connect=Connect.DIRECT))

    reached = host(cluster, cluster.nodes[0], SECRETS, transport_of(cluster, CLOUD))

    assert (reached.address, reached.proxy) == ("10.0.0.4", ())


def test_a_worker_is_reached_through_the_head_and_its_transport():
    cluster = a_cluster(a_plan(**THROUGH))
    transport = transport_of(cluster, CLOUD)

    reached = host(cluster, cluster.nodes[2], SECRETS, transport)

    through_head = ssh_command(
        host(cluster, cluster.nodes[0], SECRETS, transport), options=("-W", "[10.0.0.6]:22")
    )
    assert reached.proxy == tuple(through_head)
    assert f"ProxyCommand={shlex.join(BASTION)}" in through_head


@pytest.mark.parametrize(
    ("bastion", "word"),
    [
        ("jump", "jump"),
        ("me@jump:2222", "ssh://me@jump:2222"),
        ("jump:22", "ssh://jump:22"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_bastion_with_a_port_is_an_ssh_url(bastion, word):
    head = a_cluster().nodes[0]

    assert Transport(Connect.BASTION, bastion).proxy(head)[-1] == word


def test_a_bastion_from_a_tag_cannot_be_an_option_of_ssh():
    """Everyone who may tag instances can write the tag."""
    head = a_cluster().nodes[0]

    *_, dashes, word = Transport(Connect.BASTION, "-oProxyCommand=touch /tmp/x").proxy(head)

    assert (dashes, word) == ("--", "-oProxyCommand=touch /tmp/x")


def test_the_aws_cli_gets_the_endpoint_and_region_of_the_cloud():
    cloud = clouds.local_cloud("http://127.0.0.1:5555", KEY_PAIR, "eu-west-1")
    words = Transport(Connect.EICE, None, cloud.region, cloud.environment).proxy(a_cluster().nodes[0])

    assert words[0] == "env"
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:5555" in words[1 : words.index("aws")]
    assert words[-2:] == ("--region", "eu-west-1")


def test_the_aws_cli_reads_the_local_clouds_keys_from_their_file():
    """The command line, which all users can read, has no key; keys in the environment are not used."""
    pair = replace(KEY_PAIR, file=Path("/run/dask-bake/credentials"))
    cloud = clouds.local_cloud("http://127.0.0.1:5555", pair, None)
    words = transport_of(a_cluster(a_plan(connect=Connect.EICE)), cloud).proxy(a_cluster().nodes[0])
    variables = words[: words.index("aws")]

    assert "AWS_SHARED_CREDENTIALS_FILE=/run/dask-bake/credentials" in variables
    assert ("-u", "AWS_ACCESS_KEY_ID") in itertools.pairwise(variables)
    assert not [word for word in words if pair.access_key in word or pair.secret_key in word]


def test_the_aws_cli_gets_the_profile():
    cloud = replace(CLOUD, profile="work")
    words = transport_of(a_cluster(a_plan(connect=Connect.EICE)), cloud).proxy(a_cluster().nodes[0])

    assert words == (*TUNNEL, "--profile", "work")


@pytest.mark.parametrize(
    ("way", "there", "message"),
    [
        (Connect.DIRECT, (), "there is no ssh on this machine"),
        (Connect.BASTION, (), "there is no ssh on this machine, and --connect bastion needs it"),
        (Connect.SSM, ("ssh",), "there is no aws on this machine, and --connect ssm needs it"),
        (
            Connect.SSM,
            ("ssh", "aws"),
            "there is no session-manager-plugin on this machine, and --connect ssm needs it",
        ),
        (Connect.EICE, ("ssh",), "there is no aws on this machine, and --connect eice needs it"),
    ],
)
def test_a_missing_program_is_an_error_with_a_hint(way, there, message):
    with pytest.raises(BakeError) as caught:
        check_programs(way, lambda name: name if name in there else None)

    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize("way", list(Connect))
def test_with_all_programs_installed_each_transport_is_usable(way):
    check_programs(way, lambda name: name)


@pytest.fixture
def aws_cli(tmp_path, monkeypatch):
    """Return a function that installs a fake AWS CLI of a version."""

    def install(version):
        program = tmp_path / "bin" / "aws"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho aws-cli/{version} Python/3.11 Linux/6\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return install


def test_version_1_of_the_aws_cli_is_refused_for_eice(aws_cli):
    aws_cli("1.45.11")

    with pytest.raises(
        BakeError, match=r"the AWS CLI on this machine is aws-cli/1\.45\.11, .* needs version 2"
    ):
        check_version(Connect.EICE)
    check_version(Connect.SSM)


def test_version_2_of_the_aws_cli_is_accepted_for_eice(aws_cli):
    aws_cli("2.15.30")

    check_version(Connect.EICE)
