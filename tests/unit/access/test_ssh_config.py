"""Entries for the user's own ssh, and the line in the user's configuration that includes them."""

import subprocess

import pytest

from dask_bake.access import ssh_config
from dask_bake.errors import BakeError
from dask_bake.models.cloud import Connect
from dask_bake.ssh.command import host
from dask_bake.ssh.connect import local_keystore
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys
from dask_bake.ssh.transport import Transport, transport_of
from fakes import CLOUD, a_cluster, a_plan

MINE = b"# mine\nHost *\n  User anna\n  Port 2222\n  ProxyJump jump\n"


@pytest.fixture
def environ(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path / "a state")}


@pytest.fixture
def made(environ, monkeypatch):
    """Return a function that makes a cluster's keystore, and returns it with the entries."""
    monkeypatch.setenv("XDG_STATE_HOME", environ["XDG_STATE_HOME"])

    def made(name="taxi", launch_id="launch1", **options):
        cluster = a_cluster(a_plan(name=name, launch_id=launch_id, **options))
        keystore = local_keystore(cluster, CLOUD)
        keystore.write(Keys(new_key("x")))
        transport = transport_of(cluster, CLOUD) if options else Transport()
        hosts = {node.index: host(cluster, node, keystore, transport) for node in cluster.nodes}
        return keystore, ssh_config.render(cluster, hosts)

    return made


def options_of(config, name):
    """Return what ssh itself makes of the configuration for the host."""
    done = subprocess.run(
        ["ssh", "-F", str(config), "-G", name], capture_output=True, text=True, check=True, timeout=60
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_ssh_reaches_every_node_whatever_the_user_has_set(made, environ, tmp_path):
    """The user's own values for all hosts do not reach the nodes."""
    keystore, entries = made()
    config = tmp_path / "config"
    config.write_bytes(MINE)
    ssh_config.write(keystore, entries, environ)
    ssh_config.include(config, environ)

    head, worker = options_of(config, "taxi"), options_of(config, "taxi-2")
    common = {
        "user": "admin",
        "port": "22",
        "identityfile": str(keystore.key),
        "userknownhostsfile": f'"{keystore.known_hosts}"',
        "stricthostkeychecking": "true",
        "identityagent": "none",
    }
    assert {key: head[key] for key in common} | {"userknownhostsfile": common["userknownhostsfile"]} == common
    assert (head["hostname"], head["hostkeyalias"]) == ("10.0.0.4", "dask-bake-launch1-0")
    assert "proxyjump" not in head
    assert (worker["hostname"], worker["proxyjump"]) == ("10.0.0.6", "taxi-0")
    assert worker["hostkeyalias"] == "dask-bake-launch1-2"
    assert options_of(config, "taxi-0")["hostname"] == "10.0.0.4"
    assert options_of(config, "elsewhere")["user"] == "anna"
    assert entries.names == ("taxi", "taxi-0", "taxi-1", "taxi-2")


@pytest.mark.parametrize("kind", [Connect.EICE, Connect.SSM])
def test_the_head_is_reached_by_what_carries_ssh(made, environ, tmp_path, kind):
    profile = {"iaminstance_name": "agent"} if kind is Connect.SSM else {}
    keystore, entries = made(connect=kind, private=True, **profile)
    ssh_config.write(keystore, entries, environ)
    shown = options_of(keystore.ssh_config, "taxi")
    assert shown["proxycommand"].startswith("aws ")
    assert "i-0" in shown["proxycommand"]
    assert options_of(keystore.ssh_config, "taxi-1")["proxyjump"] == "taxi-0"


def test_a_configuration_keeps_its_content_its_mode_and_its_link(environ, tmp_path):
    real, link = tmp_path / "dotfiles", tmp_path / "home/.ssh/config"
    real.write_bytes(MINE)
    real.chmod(0o640)
    link.parent.mkdir(parents=True)
    link.symlink_to(real)

    ssh_config.include(link, environ)

    assert link.is_symlink()
    assert (real.stat().st_mode & 0o777, real.read_bytes().endswith(b"\n\n" + MINE)) == (0o640, True)
    assert ssh_config.is_included(link, environ)
    assert ssh_config.exclude(link)
    assert (real.read_bytes(), link.is_symlink()) == (MINE, True)
    assert not ssh_config.exclude(link)


def test_a_configuration_that_is_not_there_is_made_for_its_owner_alone(environ, tmp_path):
    config = tmp_path / ".ssh/config"
    ssh_config.include(config, environ)
    assert (config.parent.stat().st_mode & 0o777, config.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("content", [b"\xff\xfe no text\n", b"Host *\r\n  User x\r\n", b"no newline"])
def test_bytes_of_a_configuration_are_not_changed(environ, tmp_path, content):
    config = tmp_path / "config"
    config.write_bytes(content)
    ssh_config.include(config, environ)
    ssh_config.exclude(config)
    assert config.read_bytes() == content


def test_a_configuration_that_cannot_be_written_is_as_it_was(environ, tmp_path):
    folder = tmp_path / "config"
    folder.mkdir()
    with pytest.raises(BakeError, match="cannot be read"):
        ssh_config.include(folder, environ)
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_a_name_that_another_cluster_s_node_has_is_refused(made, environ):
    """A cluster may be named like a node of another."""
    keystore, entries = made("taxi")
    ssh_config.write(keystore, entries, environ)
    other, its = made("taxi-1", "launch2")
    with pytest.raises(BakeError, match="has taxi-1 already, for cluster taxi in aws us-east-1"):
        ssh_config.write(other, its, environ)


def test_the_entries_are_found_by_name_and_end_with_the_keystore(made, environ):
    keystore, entries = made()
    ssh_config.write(keystore, entries, environ)
    ssh_config.write(keystore, entries, environ)
    assert ssh_config.written(environ, "taxi") == [keystore.ssh_config]
    assert ssh_config.written(environ, "other") == []
    keystore.delete()
    assert ssh_config.written(environ) == []
