"""A cluster of nodes that answer SSH on loopback, run commands in folders, and have their files there."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dask_bake.models.cloud import Connect
from dask_bake.models.cluster import Cluster
from dask_bake.ssh.connect import local_keystore
from dask_bake.ssh.host_keys import BEGIN, END
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys
from fakes import CLOUD, HOST_KEY, FakeCloud, a_cluster, a_plan
from ssh_servers import SshServer

BIN = Path(__file__).parent / "bin"


@dataclass
class ConsolesOfNodes(FakeCloud):
    """EC2 with a console of its own for each node."""

    consoles: dict[str, str] = field(default_factory=dict)

    def console_output(self, instance_id: str) -> str:
        super().console_output(instance_id)
        return self.consoles.get(instance_id, "")


@dataclass
class Nodes:
    """A cluster of a head and two workers, and the servers that answer for them."""

    cluster: Cluster
    ec2: ConsolesOfNodes
    servers: list[SshServer]

    def folder(self, index: int) -> Path:
        """The home of the login user on a node."""
        folder = self.servers[index].folder
        assert folder is not None
        return folder

    def commands(self) -> list[list[str]]:
        """The commands that ran on each node."""
        return [server.commands for server in self.servers]


@contextmanager
def running_nodes(folder: Path, monkeypatch, *, name: str = "taxi") -> Iterator[Nodes]:
    """Run the SSH servers of a cluster for the duration of the block; its key is on this machine."""
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    cluster = a_cluster(a_plan(connect=Connect.EICE, private=True, name=name))
    pair = new_key("dask-bake")
    local_keystore(cluster, CLOUD).write(Keys(pair))
    with ExitStack() as stack:
        servers: list[SshServer] = []
        for node in reversed(cluster.nodes):
            home = folder / f"node-{node.index}"
            home.mkdir()
            routes = {
                (other.private_address, 22): ("127.0.0.1", server.port)
                for other, server in zip(reversed(cluster.nodes), servers, strict=False)
            }
            server = SshServer(f"node-{node.index}", pair.public, routes, folder=home)
            servers.append(stack.enter_context(server.listening()))
        servers.reverse()
        ways = folder / "instances.json"
        ways.write_text(json.dumps({cluster.nodes[0].id: ["127.0.0.1", servers[0].port]}))
        monkeypatch.setenv("FAKE_AWS", str(ways))
        ec2 = ConsolesOfNodes(instances=list(cluster.nodes), security_groups=list(cluster.groups))
        for node, server in zip(cluster.nodes, servers, strict=True):
            ec2.consoles[node.id] = f"{BEGIN}\n{server.public_host_key}\n{END}\n"
        yield Nodes(cluster, ec2, servers)


SSH = """#!/bin/sh
for word; do
    case $word in HostKeyAlias=*) node=${word##*-} ;; esac
    last=$word
done
cd "$NODES/node-$node" && HOME=$PWD PATH="$NODES/programs:/usr/bin:/bin" exec sh -c "$last"
"""
"""An ssh that runs the command in the node's folder."""


@contextmanager
def pretended_nodes(folder: Path, monkeypatch, programs: Mapping[str, str]) -> Iterator[Nodes]:
    """Pretend to be the nodes: an ssh that runs commands on this machine, with these programs."""
    for name, line in programs.items():
        program = folder / "programs" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    ssh = folder / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    monkeypatch.setenv("NODES", str(folder))
    monkeypatch.setenv("PATH", f"{ssh.parent}:{BIN}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    cluster = a_cluster(a_plan(connect=Connect.EICE, private=True, name="taxi"))
    local_keystore(cluster, CLOUD).write(Keys(new_key("dask-bake")))
    homes = [folder / f"node-{node.index}" for node in cluster.nodes]
    servers = [SshServer(home.name, "", folder=home) for home in homes]
    ec2 = ConsolesOfNodes(instances=list(cluster.nodes), security_groups=list(cluster.groups))
    for node, server in zip(cluster.nodes, servers, strict=True):
        (folder / server.name).mkdir()
        ec2.consoles[node.id] = f"{BEGIN}\n{HOST_KEY}\n{END}\n"
    yield Nodes(cluster, ec2, servers)
