"""Security groups in force: which ports of which nodes are reachable from where, and since when."""

import socket
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from dask_bake.local.network.bridge import mac_address
from local_cloud import NAME
from local_network import CALLER, PING, STRANGER, in_instance, stranger

pytestmark = pytest.mark.slow

PORTS = (22, 8786, 8787, 8888, PING)
SSH_FROM_STRANGER = {
    "IpProtocol": "tcp",
    "FromPort": 22,
    "ToPort": 22,
    "IpRanges": [{"CidrIp": f"{STRANGER}/32"}],
}


@pytest.fixture(scope="module")
def ec2(cloud):
    return cloud.ec2()


@pytest.fixture(scope="module")
def nodes(cluster, ec2):
    """The head and the workers, as EC2 describes them."""
    ids = [node["id"] for node in cluster["nodes"]]
    return [describe(ec2, instance_id) for instance_id in ids]


@pytest.fixture(scope="module")
def outsiders(image, ec2, cluster):
    """Two instances without a group, which are in the default one."""
    launched = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=2, MaxCount=2)["Instances"]
    yield launched
    ids = [instance["InstanceId"] for instance in launched]
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})


@pytest.fixture(scope="module")
def far():
    """An address other than the caller's."""
    with stranger() as place:
        yield place


def describe(ec2, instance_id):
    found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return found[0]["Instances"][0]


def groups_of(instance):
    return [group["GroupId"] for nic in instance["NetworkInterfaces"] for group in nic["Groups"]]


def everything(*instances):
    return [(instance["PrivateIpAddress"], port) for instance in instances for port in PORTS]


def ssh_of(*instances):
    return {(instance["PrivateIpAddress"], 22) for instance in instances}


@contextmanager
def changed(change, undo):
    change()
    try:
        yield
    finally:
        undo()


def test_no_node_answers_an_address_other_than_the_caller_s(nodes, far):
    """Neither a port nor a ping."""
    assert far.reached(everything(*nodes)) == set()


def test_the_caller_reaches_only_ssh_of_the_head(nodes):
    """Not the scheduler, dashboard, JupyterLab and ping, nor the workers."""
    assert CALLER.reached(everything(*nodes)) == ssh_of(nodes[0])


def test_only_members_reach_each_other(nodes, outsiders):
    """Every port; an instance of another group reaches none, in neither direction."""
    head, worker, outsider = (in_instance(one) for one in (nodes[0], nodes[1], outsiders[0]))

    assert head.reached(everything(*nodes[1:])) == set(everything(*nodes[1:]))
    assert worker.reached(everything(nodes[0], nodes[2])) == set(everything(nodes[0], nodes[2]))
    assert outsider.reached(everything(*nodes)) == set()
    assert worker.reached(everything(*outsiders)) == set()


def test_the_host_s_hardware_address_is_constant(cloud, outsiders):
    """It is not that of a cable: instances cache it while others come and go."""
    gateway = str(IPv4Network(cloud.json("local", "status")["block"])[1])

    assert Path(f"/sys/class/net/{NAME}/address").read_text().strip() == mac_address(gateway)


def test_the_default_group_allows_only_its_members(outsiders, far):
    """As in every VPC of EC2."""
    first = in_instance(outsiders[0])
    in_instance(outsiders[1])

    assert first.reached(everything(outsiders[1])) == set(everything(outsiders[1]))
    assert CALLER.reached(everything(*outsiders)) == set()
    assert far.reached(everything(*outsiders)) == set()


def test_authorize_and_revoke_take_effect_at_once(ec2, nodes, far):
    """For the port and the address of the rule; open connections stay open."""
    address = {"GroupId": groups_of(nodes[0])[0], "IpPermissions": [SSH_FROM_STRANGER]}

    with changed(
        lambda: ec2.authorize_security_group_ingress(**address),
        lambda: ec2.revoke_security_group_ingress(**address),
    ):
        opened = far.reached(everything(nodes[0]))
    closed = far.reached(everything(nodes[0]))

    assert (opened, closed) == (ssh_of(nodes[0]), set())


def test_a_revoked_rule_keeps_open_connections(ec2, nodes):
    """New connections fail until the rule is back."""
    groups = {"GroupIds": groups_of(nodes[0])}
    group, rule = next(
        (group["GroupId"], rule)
        for group in ec2.describe_security_groups(**groups)["SecurityGroups"]
        for rule in group["IpPermissions"]
        if rule.get("FromPort") == 22 and rule["IpRanges"]
    )
    address = {"GroupId": group, "IpPermissions": [rule]}
    with socket.create_connection((nodes[0]["PrivateIpAddress"], 22), timeout=10) as connection:
        greeting = connection.recv(64)
        with changed(
            lambda: ec2.revoke_security_group_ingress(**address),
            lambda: ec2.authorize_security_group_ingress(**address),
        ):
            closed = CALLER.reached(ssh_of(nodes[0]))
            connection.sendall(b"SSH-2.0-test\r\n")
            answer = connection.recv(64)

    assert greeting.startswith(b"SSH-2.0")
    assert (closed, len(answer) > 0) == (set(), True)
    assert CALLER.reached(ssh_of(nodes[0])) == ssh_of(nodes[0])


def test_an_instance_that_joins_the_group_is_allowed_until_it_leaves(ec2, nodes, outsiders):
    """With ModifyInstanceAttribute and ModifyNetworkInterfaceAttribute, without a restart."""
    outsider, target = in_instance(outsiders[0]), everything(nodes[1])
    groups, own = groups_of(nodes[1]), groups_of(outsiders[0])
    nic = describe(ec2, outsiders[0]["InstanceId"])["NetworkInterfaces"][0]["NetworkInterfaceId"]
    reached = []
    for wanted in (groups, own):
        ec2.modify_instance_attribute(InstanceId=outsiders[0]["InstanceId"], Groups=wanted)
        reached.append(outsider.reached(target))
    for wanted in (groups, own):
        ec2.modify_network_interface_attribute(NetworkInterfaceId=nic, Groups=wanted)
        reached.append(outsider.reached(target))

    assert reached == [set(target), set(), set(target), set()]


def test_a_forged_source_address_is_dropped(nodes, outsiders):
    """A datagram from a worker's address reaches the head only from that worker."""
    head, worker, outsider = (in_instance(one) for one in (nodes[0], nodes[1], outsiders[0]))
    source, target = nodes[1]["PrivateIpAddress"], nodes[0]["PrivateIpAddress"]
    with head.hearing(9999) as words:
        outsider.send_as(source, target, 9999, "forged")
        worker.send_as(source, target, 9999, "own")
        heard = next(words)

    assert heard == "own"


def test_only_the_host_answers_arp_requests(nodes, outsiders):
    """Nothing passes directly between cables, past the rules."""
    target = nodes[0]["PrivateIpAddress"]
    host = Path(f"/sys/class/net/{NAME}/address").read_text().strip()
    answers = [
        in_instance(one).who_has(target, own=one["PrivateIpAddress"]) for one in (nodes[1], outsiders[0])
    ]

    assert answers == [{host}, {host}]


ASK_FROM_WORKERS = """
from distributed import Client
def ask(number):
    import urllib.request
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    request = urllib.request.Request("http://169.254.169.254/latest/api/token", method="PUT", headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=5).read()
    except OSError as error:
        return type(error.reason).__name__
client = Client()
workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
futures = [client.submit(ask, worker, workers=worker) for worker in workers]
print(*client.gather(futures))
"""


def test_tasks_cannot_reach_the_metadata_service(cloud, cluster):
    """Not even for a token: the firewall blocks the user that runs tasks."""
    output = cloud.on_head(ASK_FROM_WORKERS, name="shared").split()

    assert output == ["PermissionError"] * cluster["workers"]
