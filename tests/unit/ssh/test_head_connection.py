"""The connection to the head during a launch."""

from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys, Keystore
from fakes import HOST_KEY, a_cluster

CLUSTER = a_cluster()


def test_a_head_connection_keeps_keys_and_host_keys_until_it_forgets_them(tmp_path):
    connection = SshHeadConnection(Keystore(tmp_path / "keystore", "launch1"), Keys(new_key("x")))
    connection.prepare()
    connection.pin(CLUSTER.nodes[0], HOST_KEY)

    assert connection.is_pinned(CLUSTER.nodes[0])
    connection.forget()
    assert not (tmp_path / "keystore").exists()


def test_the_scheduler_is_queried_through_a_socket_that_no_other_user_can_reach(tmp_path):
    connection = SshHeadConnection(Keystore(tmp_path / "keystore", "launch1"))
    [forward] = connection._tunnel_to(CLUSTER.nodes[0]).forwards

    assert forward.local.parent.stat().st_mode & 0o777 == 0o700
    connection.close()
    assert not forward.local.parent.exists()
