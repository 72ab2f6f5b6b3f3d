"""SSH through an Instance Connect endpoint, with the user's own keys, and to a private address."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cluster_access import (
    LAUNCH_RULE,
    CustomCloud,
    allowed_sources,
    check_computes,
    launched_and_checked,
    no_port_answers,
)
from local_cloud import LocalCloud
from local_network import in_instance
from polling import until
from root import as_root

pytestmark = pytest.mark.slow

BIN = Path(__file__).parents[1] / "support/bin"


def refuses_another_host_key(cloud: LocalCloud, name: str) -> None:
    """Fail unless SSH is refused with another key pinned for the head."""
    known = cloud.secrets_of(name) / "known_hosts"
    right = known.read_text()
    first, *others = right.splitlines()
    other = subprocess.run(
        ["ssh-keygen", "-y", "-f", known.with_name("id_ed25519")], capture_output=True, text=True, check=True
    )
    known.write_text("\n".join([f"{first.split()[0]} {other.stdout.strip()}", *others]) + "\n")

    entered = cloud.attempt("ssh", "--name", name, "--", "echo", "in")
    status = cloud.json("status", name)

    known.write_text(right)
    assert (entered.returncode, entered.stdout, status["workers"]) == (255, "", None)
    assert "Host key verification failed" in entered.stderr


def described(cloud: LocalCloud, launch: dict, index: int) -> dict:
    """Return a node as EC2 describes it."""
    found = cloud.ec2().describe_instances(InstanceIds=[launch["nodes"][index]["id"]])
    return found["Reservations"][0]["Instances"][0]


@pytest.fixture(scope="module")
def endpoint(cloud, image):
    """An Instance Connect endpoint, and an instance in its group whose network stands for the endpoint's."""
    ec2 = cloud.ec2()
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName="endpoint", Description="endpoint", VpcId=subnet["VpcId"])
    made = ec2.create_instance_connect_endpoint(
        SubnetId=subnet["SubnetId"], SecurityGroupIds=[group["GroupId"]]
    )["InstanceConnectEndpoint"]
    (instance,) = ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SecurityGroupIds=[group["GroupId"]]
    )["Instances"]
    made_id = made["InstanceConnectEndpointId"]
    yield {"id": made_id, "group": group["GroupId"], "place": in_instance(instance)}
    ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=made_id)
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1}
    )
    ec2.delete_security_group(GroupId=group["GroupId"])


@pytest.fixture
def with_aws(cloud, endpoint, tmp_path):
    """A user with a fake AWS CLI that connects from the endpoint's network."""
    command = [*as_root(*endpoint["place"].prefix), "", 22]
    (tmp_path / "aws.json").write_text(json.dumps({"*": command}))
    path = f"{BIN}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return CustomCloud(home=cloud.home, variables=(("PATH", path), ("FAKE_AWS", str(tmp_path / "aws.json"))))


def test_a_cluster_is_reached_through_an_instance_connect_endpoint(
    cloud, image, endpoint, with_aws, tmp_path
):
    """No port is open to any address; only the endpoint's group is allowed."""
    with launched_and_checked(with_aws, image, "inside", "--private", "--connect", "eice") as launch:
        assert allowed_sources(cloud, "inside") == [(endpoint["group"], LAUNCH_RULE)]
        assert no_port_answers(launch)
        check_computes(with_aws, "inside")
        refused = with_aws.attempt("allow-me", "inside")
        assert refused.returncode == 2
        assert "no port has to be opened" in " ".join(refused.stderr.split())

    called = set((tmp_path / "aws.log").read_text().splitlines())
    head = launch["nodes"][0]["id"]
    words = ["ec2-instance-connect", "open-tunnel", "--instance-id", head, "--remote-port", "22"]
    through = ["--instance-connect-endpoint-id", endpoint["id"]]
    assert called == {json.dumps([*words, *through, "--region", "us-east-1"])}


@pytest.fixture
def rsa_key(tmp_path):
    """An RSA key in PEM, as EC2 creates it."""
    key = rsa.generate_private_key(65537, 2048)
    path = tmp_path / "mine.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return path, key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )


def test_keypair_and_keyname_are_both_accepted(cloud, image, rsa_key, tmp_path):
    """dask-bake uses the key of --keypair; nodes also accept that of --keyname."""
    path, _ = rsa_key
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    public = other.with_suffix(".pub").read_bytes()
    cloud.ec2().import_key_pair(KeyName="others", PublicKeyMaterial=public)
    try:
        with launched_and_checked(
            cloud, image, "keyed", "--keypair", str(path), "--keyname", "others"
        ) as launch:
            check_computes(cloud, "keyed")
            kept = cloud.secrets_of("keyed") / "id_ed25519"
            assert kept.resolve() == path
            address = launch["nodes"][0]["private_address"]
            options = ("-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
            words = ("-o", "IdentityAgent=none", "-o", "LogLevel=ERROR", "-i", str(other), f"admin@{address}")
            done = subprocess.run(
                ["ssh", *options, *words, "echo in"], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    finally:
        cloud.ec2().delete_key_pair(KeyName="others")
    assert path.exists()


def test_no_provision_nodes_accept_the_cluster_s_key_pair(cloud, image):
    """The key is an EC2 key pair, which is deleted with the cluster."""
    with launched_and_checked(cloud, image, "plain", "--no-provision") as launch:
        for node in (0, 1):
            user_data = cloud.ec2().describe_instance_attribute(
                InstanceId=launch["nodes"][node]["id"], Attribute="userData"
            )
            assert not user_data["UserData"].get("Value")
            until(
                lambda number=str(node): (
                    cloud.attempt("ssh", "--name", "plain", number, "--", "true").returncode == 0
                ),
                timeout=60,
            )
            output = cloud.run("ssh", "--name", "plain", str(node), "--", "ls", "/etc/dask-bake")
            assert "env" not in output
        assert described(cloud, launch, 0)["KeyName"] == "dask-bake-plain"
        names = [each["KeyName"] for each in cloud.ec2().describe_key_pairs()["KeyPairs"]]
        assert "dask-bake-plain" in names
    names = [each["KeyName"] for each in cloud.ec2().describe_key_pairs()["KeyPairs"]]
    assert "dask-bake-plain" not in names


def test_a_private_cluster_is_reached_at_its_private_address(cloud, image):
    """As from inside its VPC, or through a VPN."""
    with launched_and_checked(cloud, image, "near", "--private", "--connect", "direct") as launch:
        assert [node["public_address"] for node in launch["nodes"]] == [None, None]
        assert described(cloud, launch, 0).get("PublicIpAddress") is None
        check_computes(cloud, "near")
        refuses_another_host_key(cloud, "near")
