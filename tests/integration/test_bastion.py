"""SSH through the shared cluster's head as a bastion, and from another address."""

import os
import shutil

import pytest

from cluster_access import (
    LAUNCH_RULE,
    CustomCloud,
    allowed_sources,
    check_computes,
    launched_and_checked,
    no_port_answers,
)
from local_network import STRANGER

pytestmark = pytest.mark.slow


@pytest.fixture
def through_shared(cloud, cluster, tmp_path):
    """A user whose ssh configuration has the shared cluster's head as a bastion."""
    secrets = cloud.secrets_of("shared")
    head, launch_id = cluster["nodes"][0], cluster["launch_id"]
    cloud.run("ssh", "--name", "shared", "--", "true")
    config = tmp_path / "config"
    config.write_text(
        f"Host jump\n  HostName {head['private_address']}\n  User admin\n  IdentityAgent none\n"
        f"  HostKeyAlias dask-bake-{launch_id}-0\n  IdentityFile {secrets}/id_ed25519\n"
        f"  UserKnownHostsFile {secrets}/known_hosts\n  LogLevel ERROR\n"
    )
    # ssh finds the user's home in the password database, so the test names its own files.
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    real = shutil.which("ssh")
    program.write_text(f'#!/bin/sh\n[ "$1" = -F ] && exec {real} "$@"\nexec {real} -F {config} "$@"\n')
    program.chmod(0o755)
    return CustomCloud(home=cloud.home, variables=(("PATH", f"{program.parent}:{os.environ['PATH']}"),))


def test_a_cluster_is_reached_through_a_bastion(cloud, image, cluster, through_shared):
    """Its group allows only the members of the bastion's group."""
    members = next(each for each in cluster["security_groups"] if "/" not in each["name"])["id"]
    words = ("--private", "--connect", "bastion", "--bastion", "jump", "--cidr", members)

    with launched_and_checked(through_shared, image, "behind", *words) as launch:
        assert allowed_sources(cloud, "behind") == [(members, LAUNCH_RULE)]
        assert no_port_answers(launch)
        check_computes(through_shared, "behind")
        without = cloud.attempt("ssh", "--name", "behind", "--", "true")
        assert without.returncode == 255
        refused = cloud.attempt("allow-me", "behind")
        assert (refused.returncode, "is reached through the bastion jump" in refused.stderr) == (2, True)


def test_allow_me_restores_access_after_the_address_has_changed(cloud, cluster):
    """The error names the command; rules that others have added stay."""
    ec2, (here,) = cloud.ec2(), allowed_sources(cloud, "shared")
    (group,) = [each["id"] for each in cluster["security_groups"] if each["name"].endswith("/ssh")]

    def rule(block, says):
        ranges = [{"CidrIp": block, "Description": says}]
        return {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}

    before, somebody = rule(f"{STRANGER}/32", LAUNCH_RULE), rule("203.0.113.0/24", "the office")
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[before, somebody])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule(*here)])

    shut = cloud.attempt("ssh", "--name", "shared", "--", "true")
    status = cloud.attempt("status", "shared")
    change = cloud.json("allow-me", "shared")
    again = cloud.json("allow-me", "shared")

    assert shut.returncode == 1
    assert f"does not allow SSH from {here[0]}, this machine's current address" in shut.stderr
    assert "dask-bake allow-me shared" in shut.stderr
    assert "dask-bake allow-me shared" in status.stderr
    assert (change["opened"], change["closed"]) == ([here[0]], [f"{STRANGER}/32"])
    assert (again["opened"], again["closed"]) == ([], [])
    assert allowed_sources(cloud, "shared") == sorted([here, ("203.0.113.0/24", "the office")])
    assert cloud.run("ssh", "--name", "shared", "--", "true") == ""
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[somebody])
