"""Properties of the image, checked on the nodes that booted from it."""

import json
import re

import pytest

from base_release import NETWORK_STAGE
from dask_bake.ssh.host_keys import END, host_key_from_console
from local_cluster import LocalCluster
from local_nodes import Nodes
from polling import until

NODES = ("0", "1", "2")
PLACES = ("/etc", "/home", "/root", "/srv", "/tmp", "/var")
CHECK = "/usr/libexec/dask-bake/check-imports"


@pytest.fixture(scope="module")
def on_node(cloud, cluster):
    """Return the output of a command on a node."""
    return Nodes(cloud, cluster["name"]).run


def test_no_unit_fails_on_any_node(on_node):
    """cloud-init is done, no unit failed, and systemd accepts dask-bake's units."""
    for node in NODES:
        assert on_node(node, "cloud-init", "status", "--wait").strip(".\n") == "status: done"
        assert on_node(node, "systemctl", "--failed", "--quiet", "--no-legend", "--plain") == ""
    verify = (
        "systemd-analyze verify --man=no /etc/systemd/system/dask-*.service /etc/systemd/system/dask-*.socket"
    )
    assert on_node("0", "sh", "-c", f"{verify} 2>&1") == ""


def test_early_cloud_init_stages_have_a_time_limit(on_node):
    stages = ("cloud-init-local", NETWORK_STAGE)
    output = on_node("0", "systemctl", "show", "--property", "TimeoutStartUSec", "--value", *stages)

    assert output.split() == ["15min", "15min"]


@pytest.mark.parametrize(
    "file",
    [
        "/etc/machine-id",
        "/etc/ssh/ssh_host_ed25519_key.pub",
        "/etc/hostname",
        "/var/lib/cloud/data/instance-id",
    ],
)
def test_each_node_has_its_own_identity(on_node, file):
    """No identity came with the image."""
    identities = {on_node(node, "cat", file).strip() for node in NODES}

    assert len(identities) == len(NODES)
    assert all(len(identity) >= 10 for identity in identities)


def test_a_node_has_one_host_key(on_node):
    """Its two files, and no other."""
    files = on_node("1", "sh", "-c", "ls /etc/ssh/ssh_host_*").split()
    assert files == ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"]


def test_only_the_cluster_s_key_is_authorized_on_a_node(cloud, on_node):
    """Neither Packer's key nor the baking user's."""
    folder = cloud.secrets_of("shared").name
    ours = (cloud.home / "state/dask-bake" / folder / "id_ed25519.pub").read_text().split()[1]
    for node in NODES:
        found = on_node(node, "sudo", "find", *PLACES, "-name", "authorized_keys*").split()
        text = on_node(node, "sudo", "cat", *found)

        assert "/home/admin/.ssh/authorized_keys" in found
        assert set(re.findall(r"ssh-\S+ (\S+)", text)) == {ours}


def test_no_file_of_the_bake_is_on_a_node(on_node):
    """No payload, no package lists, no history; the logs begin with this boot."""
    leftovers = (
        "find /var/tmp /tmp -name 'dask-bake*' -o -name 'script_*.sh'; "
        "find /var/lib/apt/lists /var/cache/apt -type f ! -name lock; "
        "find /root /home -name '.*history' -o -name .cache; "
        "find /var/log -type f -size +0 ! -newer /etc/machine-id; "
        "journalctl --list-boots --quiet | tail -n +2"
    )
    assert on_node("1", "sudo", "sh", "-c", leftovers) == ""


@pytest.mark.parametrize("user", ["dask", "admin"])
def test_every_package_imports_on_a_node(on_node, user):
    """As the user of the units, and as the login user."""
    output = on_node("1", "sudo", "-u", user, CHECK)
    assert re.fullmatch(r"\d+ modules of \d+ packages imported in [\d.]+ s\n", output)


def test_no_file_of_the_environment_was_written_since_the_bake(on_node):
    """All bytecode came with the image, although a scheduler, workers and every package were imported."""
    on_node("0", "sudo", CHECK)
    for node in NODES:
        assert on_node(node, "sudo", "find", "/opt/dask", "-newer", "/etc/machine-id") == ""


def test_without_jupyterlab_its_socket_stays_down_and_nothing_fails(on_node):
    """As with a user's environment without JupyterLab."""
    program, socket = "/opt/dask/bin/jupyter-lab", "dask-jupyter.socket"
    state = ("systemctl", "show", "--property=ActiveState,ConditionResult", "--value", socket)
    failed = ("systemctl", "--failed", "--quiet", "--no-legend", "--plain")
    on_node("0", "sudo", "systemctl", "stop", "dask-jupyter-proxy", "dask-jupyter")  # as before any visit
    before = on_node("0", *state).split()
    on_node("0", "sudo", "mv", program, program + ".away")
    try:
        on_node("0", "sudo", "systemctl", "restart", socket)
        without = on_node("0", *state).split(), on_node("0", *failed)
    finally:
        on_node("0", "sudo", "mv", program + ".away", program)
        on_node("0", "sudo", "systemctl", "restart", socket)

    assert sorted(before) == ["active", "yes"]
    assert (sorted(without[0]), without[1]) == (["inactive", "no"], "")


def test_nodes_take_the_frame_size_that_dhcp_offers(on_node):
    """EC2's is 9001; networkd ignores it unless told."""
    for node in NODES:
        (route,) = json.loads(on_node(node, "ip", "-json", "route", "show", "default"))
        assert on_node(node, "cat", f"/sys/class/net/{route['dev']}/mtu") == "9001\n"


def test_the_host_key_is_on_the_console_three_times_before_and_three_after_the_boot(cloud, cluster):
    """As cloud-init ends after the cluster is ready, this waits for it."""
    nodes = LocalCluster(cloud, cluster)

    def console():
        return cloud.ec2().get_console_output(InstanceId=nodes.ids[1])["Output"]

    until(lambda: console().count(END) == 6, timeout=120, describe=console)
    key = host_key_from_console(console())
    assert console().count(f"{key} ") == 6
