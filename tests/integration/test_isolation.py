"""Isolation of a local cloud from root of a node, tasks, other users of this machine, and other networks."""

import os
import select
import socket
import subprocess
from ipaddress import IPv4Network

import pytest
from botocore.exceptions import ClientError

from dask_bake.local.network.bridge import METADATA_PORT, S3_PORT
from dask_bake.local.user_namespace import COUNT, OFFSET, first_user
from local_cloud import NAME, ROOT
from local_network import PING, in_instance, stranger
from root import as_root, run_as_root

pytestmark = pytest.mark.slow

NOBODY = "65534"


@pytest.fixture(scope="module")
def gateway(cloud):
    """The host's address on the bridge."""
    return str(IPv4Network(cloud.json("local", "status")["block"])[1])


@pytest.fixture(scope="module")
def worker(cloud, cluster):
    """The first worker, as EC2 describes it."""
    found = cloud.ec2().describe_instances(InstanceIds=[cluster["nodes"][1]["id"]])["Reservations"]
    return found[0]["Instances"][0]


def on_worker(cloud, script):
    """Return what a script printed that root of the first worker ran."""
    done = cloud.attempt("ssh", "--name", "shared", "1", "--", "sudo", "sh", text=script)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def maps_layers(cloud):
    """Whether each instance has users of its own on this machine."""
    return cloud.json("local", "doctor") == []


def as_nobody(*command, **environment):
    """Run a command as a user of this machine who has nothing to do with the local cloud."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    everything = as_root("env", *settings, *become, *command)
    return subprocess.run(everything, capture_output=True, text=True, check=False)


def test_root_of_a_node_is_nobody_on_the_host(worker, maps_layers):
    """Its user namespace maps a range of users that the host does not have, and nobody else has."""
    init = in_instance(worker).prefix[2]
    users = first_user(worker["PrivateIpAddress"]) if maps_layers else OFFSET

    for kind in ("uid", "gid"):
        (mapped,) = run_as_root("cat", f"/proc/{init}/{kind}_map").splitlines()
        assert mapped.split() == ["0", str(users), str(COUNT)]


def test_who_breaks_out_of_a_node_has_nothing_of_another(cloud, cluster, worker, maps_layers):
    """Neither its processes nor its files: each has users of its own, where the kernel has mapped layers."""
    if not maps_layers:
        pytest.skip("this machine cannot mount layers with mapped owners")
    found = cloud.ec2().describe_instances(InstanceIds=[cluster["nodes"][0]["id"]])["Reservations"]
    head, neighbour = (in_instance(each).prefix[2] for each in (found[0]["Instances"][0], worker))
    root_of_head = run_as_root("stat", "--format=%u", f"/proc/{head}").strip()
    become = ["setpriv", f"--reuid={root_of_head}", f"--regid={root_of_head}", "--clear-groups", "sh", "-c"]
    reach = "kill -0 $0 && echo signals; head -c1 /proc/$0/environ && echo reads; ls /proc/$0/root/; true"

    own, others = (run_as_root(*become, reach, pid) for pid in (head, neighbour))

    assert own.split()[0] == "signals"
    assert others == ""


TRY_TO_WRITE = """
exec 2>/dev/null
mount -o remount,rw,bind /proc/sys
mount -t proc proc /mnt
mount -o remount,rw,bind /sys
mount -t sysfs sysfs /media
for file in /proc/sys/kernel/core_pattern /mnt/sys/kernel/core_pattern /proc/sysrq-trigger \
    /mnt/sysrq-trigger /proc/sys/vm/drop_caches /sys/kernel/mm/transparent_hugepage/enabled \
    /sys/kernel/uevent_helper /media/kernel/uevent_helper; do
    if [ -e "$file" ] && sh -c ': >>"$1"' sh "$file"; then echo "$file"; fi
done
umount /mnt
if mknod /root/disk b 254 0; then echo "a device of the host"; rm /root/disk; fi
if dmesg --clear; then echo "the log of the kernel"; fi
if chrt --fifo 1 true; then echo "a real-time process"; fi
"""


def test_root_of_a_node_changes_nothing_of_the_hosts_kernel(cloud, cluster):
    """Neither where it remounts /proc/sys and /sys for writing, nor where it mounts them anew."""
    assert on_worker(cloud, TRY_TO_WRITE) == ""


def test_a_node_works_without_the_hosts_root(cloud, cluster):
    """No unit has failed, and Dask has as many files as it wants, or as the host's root can have."""
    assert (
        on_worker(cloud, "systemctl --failed --quiet --no-legend; systemctl is-system-running") == "running\n"
    )

    most = run_as_root("sh", "-c", "ulimit -Hn 1048576; ulimit -Hn").strip()
    limits = on_worker(cloud, "grep 'open files' /proc/$(pgrep -u dask -o)/limits")
    assert limits.split()[3:5] == [most, most]


def test_other_users_of_this_machine_see_no_file_of_a_node(cloud, cluster, worker):
    """Neither images, layers and log, nor a node's files; its root's setuid programs have no power here."""
    on_worker(cloud, "cp /bin/bash /opt/shell && chmod 4755 /opt/shell")
    shell = ROOT / "instances" / worker["InstanceId"] / "upper/opt/shell"
    owner = run_as_root("stat", "--format=%u %a", str(shell)).split()
    attempts = [
        *(as_nobody("ls", str(ROOT / name)) for name in ("images", "instances", "layers", "snapshots")),
        as_nobody("cat", str(ROOT / "server.log")),
        as_nobody("sh", "-c", '"$0" -p -c id', str(shell)),
    ]
    on_worker(cloud, "rm /opt/shell")

    assert owner == [str(OFFSET), "4755"]
    assert [done.stdout for done in attempts] == [""] * len(attempts)
    assert 0 not in [done.returncode for done in attempts]


LOG_EMERGENCY = """
sudo -u dask python3 -c "import syslog; syslog.syslog(syslog.LOG_EMERG, 'from a task')"
until journalctl --no-pager --quiet --priority=emerg | grep -q 'from a task'; do sleep 0.1; done
wall 'from root'
"""


def test_a_task_writes_to_no_terminal(cloud, cluster):
    """journald would write what anybody logs with the priority emerg to all of them, as it is."""
    near, far = os.openpty()
    command = cloud.command("ssh", "--name", "shared", "1")
    with (
        os.fdopen(near, "r+b", buffering=0) as terminal,
        subprocess.Popen(command, stdin=far, stdout=far, stderr=far, env=cloud.environment),
    ):
        os.close(far)
        terminal.write(b"echo rea''dy\n")
        shown = read_until(terminal, b"ready")
        on_worker(cloud, LOG_EMERGENCY)
        shown += read_until(terminal, b"from root")
        terminal.write(b"exit\n")

    assert b"from a task" not in shown


def read_until(terminal, text):
    """Return what a terminal shows until that text has come."""
    shown = b""
    while text not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += terminal.read(65536)
    return shown


def test_a_user_without_root_gets_an_answer_where_only_root_may_look(cloud, tmp_path):
    """`local doctor` names root as missing, and `local up` says so."""
    hidden = {"DASK_BAKE_LOCAL_NAME": f"{NAME}c", "DASK_BAKE_LOCAL_ROOT": str(tmp_path / "root")}
    run_as_root("install", "--directory", "--mode=0700", str(tmp_path / "root"))
    settings = {**cloud.environment, **hidden, "HOME": "/nonexistent"}
    assert as_nobody("ls", str(tmp_path / "root")).returncode != 0

    for words in (("local", "doctor"), ("local", "up")):
        done = as_nobody(*cloud.command(*words), **settings)
        assert done.returncode == 1
        assert "root" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_no_file_of_an_image_belongs_to_a_user_of_the_host(cluster):
    """A setuid program of a layer, such as sudo, has no power on the host."""
    of_the_host = ("-uid", f"-{OFFSET}", "!", "-type", "c")  # overlayfs marks removed files by such devices

    assert run_as_root("find", str(ROOT / "layers"), "-mindepth", "1", *of_the_host) == ""


ASK_THE_GATEWAY = """
import socket
from distributed import Client
def ask(host, port):
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(b"GET /latest/user-data HTTP/1.0\\r\\n\\r\\n")
            return connection.recv(64)
    except OSError as error:
        return type(error).__name__
client = Client()
print(*client.gather([client.submit(ask, %r, port, pure=False) for port in (%d, %d)]))
"""


def test_tasks_reach_the_metadata_service_by_no_other_address(cloud, cluster, gateway):
    """The ports to which the metadata address and S3's port are redirected are closed."""
    answers = cloud.on_head(ASK_THE_GATEWAY % (gateway, METADATA_PORT, S3_PORT), name="shared")

    assert set(answers.split()) <= {"ConnectionRefusedError", "TimeoutError"}


def test_services_for_instances_answer_nobody_else(worker, gateway):
    """DNS, metadata and S3: neither another network nor this machine's users."""
    services = [(gateway, port) for port in (53, 80, METADATA_PORT, S3_PORT)]

    with stranger() as far:
        assert far.reached([*services, (gateway, PING)]) == set()
    for service in services:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(service, timeout=5)


def test_a_rule_that_no_firewall_loads_is_refused_and_the_next_one_applies(cloud, worker):
    """EC2 refuses it with the same code; the local cloud goes on as if it had not been sent."""
    ec2 = cloud.ec2()
    group = worker["SecurityGroups"][0]["GroupId"]
    before = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    anyone = [{"CidrIp": "0.0.0.0/0"}]
    bad = {"IpProtocol": "icmp", "FromPort": 300, "ToPort": -1, "IpRanges": anyone}
    good = {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": anyone}

    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[bad])
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[good])
    with stranger() as far:
        reached = far.reached([(worker["PrivateIpAddress"], PING)])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[good])

    assert reached == {(worker["PrivateIpAddress"], PING)}
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"] == before
