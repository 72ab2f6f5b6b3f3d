"""Connections to a cluster: reachability, keys, host keys and certificates."""

from dataclasses import replace
from pathlib import Path

import pytest

from dask_bake import clouds
from dask_bake.clusters.naming import ssh_rule
from dask_bake.errors import BakeError
from dask_bake.launch.bootstrap import keys_for
from dask_bake.models.cloud import Connect
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.options.launch import LaunchOptions
from dask_bake.ssh.command import Forward, host
from dask_bake.ssh.connect import (
    check_reachable,
    local_keystore,
    not_allowed_error,
    open_tunnel,
    prepare_host,
    query_head,
    tls_files,
)
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys
from dask_bake.ssh.transport import Transport
from dask_bake.view.cluster_json import addresses
from fakes import CONSOLE, HOST_KEY, FakeCloud, a_cluster, a_plan, hint_of
from http_servers import serving
from ports import free_port

HERE = "192.0.2.7"


@pytest.fixture
def cloud(monkeypatch, tmp_path):
    """Return AWS, where this machine's address is HERE."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with serving(lambda _: (200, HERE)) as url:
        yield replace(clouds.aws_cloud("us-east-1", {}), address_url=url)


def a_cluster_that_lets_in(*sources, **options):
    group = SecurityGroup("sg-2", "dask-bake-dask/ssh", "vpc-1", rules=tuple(map(ssh_rule, sources)))
    return replace(a_cluster(a_plan(**options)), groups=(group,))


def test_an_address_that_is_not_allowed_is_an_error_with_the_allow_me_command(cloud):
    cluster = a_cluster_that_lets_in("198.51.100.1/32")

    with pytest.raises(BakeError) as caught:
        check_reachable(cluster, cloud, answers=lambda _: False)

    assert caught.value.message == (
        f"cluster dask does not allow SSH from {HERE}/32, this machine's current address"
    )
    assert hint_of(caught.value).startswith("dask-bake allow-me dask ")


def test_a_head_that_answers_is_reachable_whatever_its_rules_are(cloud):
    check_reachable(a_cluster_that_lets_in("198.51.100.1/32"), cloud, answers=lambda _: True)


def test_an_allowed_address_is_not_reported_as_the_reason(cloud):
    """The head may still be booting; ssh reports what it finds."""
    check_reachable(a_cluster_that_lets_in("192.0.2.0/24"), cloud, answers=lambda _: False)


def test_if_the_caller_s_address_is_unknown_it_is_not_reported_as_the_reason(cloud):
    nowhere = replace(cloud, address_url=f"http://127.0.0.1:{free_port()}")

    assert not_allowed_error(a_cluster_that_lets_in("198.51.100.1/32"), nowhere) is None


@pytest.mark.parametrize(
    "options",
    [{"connect": Connect.EICE}, {"connect": Connect.BASTION, "bastion": "jump", "cidr": ("10.0.0.9/32",)}],
    ids=["eice", "bastion"],
)
def test_with_another_transport_no_direct_connection_is_tried(cloud, options):
    queried = []
    check_reachable(a_cluster_that_lets_in("sg-7", **options), cloud, answers=queried.append)

    assert queried == []
    assert not_allowed_error(a_cluster_that_lets_in("sg-7", **options), cloud) is None


def test_a_tunnel_that_fails_because_of_the_address_names_the_address(cloud):
    """It replaces the message of ssh, which says only that nothing answers."""
    cluster = a_cluster_that_lets_in("198.51.100.1/32")
    nobody = Transport(Connect.BASTION, f"me@127.0.0.1:{free_port()}")
    reached = host(cluster, cluster.nodes[0], local_keystore(cluster, cloud), nobody)

    with pytest.raises(BakeError, match=f"does not allow SSH from {HERE}/32"):
        open_tunnel(cluster, cloud, reached, [Forward(free_port(), 8786)], 0.5)


def test_without_the_key_a_node_cannot_be_reached(cloud):
    cluster = a_cluster_that_lets_in(f"{HERE}/32")

    with pytest.raises(BakeError, match="the key of cluster dask"):
        prepare_host(cluster, cluster.nodes[0], cloud, FakeCloud())


def test_a_node_without_a_host_key_on_its_console_is_not_connected_to(cloud):
    cluster = a_cluster_that_lets_in(f"{HERE}/32")
    local_keystore(cluster, cloud).write(Keys(new_key("x")))

    with pytest.raises(BakeError, match="has not printed its host key on its console"):
        prepare_host(cluster, cluster.nodes[0], cloud, FakeCloud(console="booting\n"))


def test_host_keys_of_a_worker_and_of_its_head_are_read_from_their_consoles(cloud):
    cluster = a_cluster_that_lets_in(f"{HERE}/32")
    keystore = local_keystore(cluster, cloud)
    keystore.write(Keys(new_key("x")))

    prepare_host(cluster, cluster.nodes[2], cloud, FakeCloud(console=CONSOLE))

    assert sorted(keystore.known_hosts.read_text().splitlines()) == [
        f"dask-bake-launch1-0 {HOST_KEY}",
        f"dask-bake-launch1-2 {HOST_KEY}",
    ]


def test_without_the_key_the_scheduler_is_not_queried_and_a_note_says_so(cloud):
    notes = []

    answer = query_head(a_cluster_that_lets_in(f"{HERE}/32"), cloud, FakeCloud(), notes.append)

    assert (answer, len(notes)) == ((None, ""), 1)
    assert "the key of cluster dask" in notes[0].text


def test_the_tls_files_are_those_of_the_launch(cloud):
    cluster = a_cluster_that_lets_in(tls=True)
    keystore = local_keystore(cluster, cloud)
    keystore.write(keys_for(LaunchOptions(tls=True)))

    assert tls_files(cluster, cloud) == {
        "tls_ca_file": str(keystore.folder / "ca.pem"),
        "tls_client_cert": str(keystore.folder / "client.pem"),
        "tls_client_key": str(keystore.folder / "client.key"),
    }


def test_without_the_certificates_a_tls_cluster_cannot_be_used(cloud):
    cluster = a_cluster_that_lets_in(tls=True)
    local_keystore(cluster, cloud).write(Keys(new_key("x")))

    with pytest.raises(BakeError, match="the certificates of cluster dask are not on this machine"):
        tls_files(cluster, cloud)


def test_a_cluster_without_tls_has_no_tls_files(cloud):
    assert tls_files(a_cluster_that_lets_in(), cloud) == {}


def test_the_addresses_of_a_tls_cluster_have_the_tls_scheme_and_the_files():
    scheduler, ports = Path("/run/8786"), {8787: 1, 8888: 3}

    assert addresses(scheduler, ports, secret="s", token="", tls={"tls_ca_file": "/x/ca.pem"}) == {
        "dashboard": "http://127.0.0.1:1/status?token=s",
        "scheduler": "dask-bake-tls:///run/8786",
        "tls_ca_file": "/x/ca.pem",
    }
    assert addresses(scheduler, ports, secret="s", token="")["scheduler"] == "dask-bake:///run/8786"


def kept(cloud, cluster):
    """Return the cluster's complete keystore, with the head's host key."""
    keystore = local_keystore(cluster, cloud)
    keystore.write(Keys(new_key("dask-bake dask")))
    keystore.pin(cluster.head, HOST_KEY)
    return keystore


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda key: key.unlink(), "is not on this machine"),
        (lambda key: key.write_text(""), "on this machine is incomplete"),
        (lambda key: key.write_text(key.read_text()[:200]), "on this machine is incomplete"),
        (lambda key: key.write_bytes(b"\xff" * 400), "on this machine is incomplete"),
        (lambda key: (key.unlink(), key.mkdir()), "on this machine cannot be read (Is a directory)"),
    ],
)
def test_a_missing_or_damaged_key_is_an_error_with_the_command_that_ends_the_cluster(cloud, spoil, problem):
    cluster = a_cluster()
    keystore = kept(cloud, cluster)
    prepare_host(cluster, cluster.head, cloud, FakeCloud())
    spoil(keystore.key)

    with pytest.raises(BakeError) as caught:
        prepare_host(cluster, cluster.head, cloud, FakeCloud())

    assert caught.value.message == f"the key of cluster dask {problem}: {keystore.key}"
    assert "dask-bake down dask --region us-east-1" in hint_of(caught.value, "--region", "us-east-1")


def test_text_around_the_key_in_its_file_is_ignored(cloud):
    cluster = a_cluster()
    keystore = kept(cloud, cluster)
    keystore.key.write_text(f"Bag Attributes\n    friendlyName: me\n{keystore.key.read_text()}\n")

    assert prepare_host(cluster, cluster.head, cloud, FakeCloud()).key == keystore.key


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"dask-bake-launch1-0 ssh-ed25519 AAAA", b"dask-bake-launch1-0\n", b"\xff\xfe\n\xff", None],
)
def test_missing_or_damaged_host_keys_are_read_from_the_console_again(cloud, spoilt):
    cluster = a_cluster()
    keystore = kept(cloud, cluster)
    if spoilt is None:
        keystore.known_hosts.unlink()
    else:
        keystore.known_hosts.write_bytes(spoilt)

    prepare_host(cluster, cluster.head, cloud, FakeCloud())

    assert keystore.is_pinned(cluster.head)
    lines = keystore.known_hosts.read_text(errors="replace").splitlines()
    assert lines[-1] == f"{keystore.alias(cluster.head)} {HOST_KEY}"
