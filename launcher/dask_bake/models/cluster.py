"""Clusters and their nodes, as EC2 describes them now."""

import re
from dataclasses import dataclass
from datetime import datetime

from dask_bake.models.cloud import Connect, CredentialSource, Market, Role
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.owner import shown, tagged_owners
from dask_bake.models.tags import Tag, Tags
from dask_bake.system.text import printable

NUMBER = re.compile(r"[0-9]{1,6}")
SECONDS = re.compile(r"[0-9]{1,10}")
"""The value of a tag with seconds, up to three centuries."""
SCHEDULER_PORT = 8786
DASHBOARD_PORT = 8787
JUPYTER_PORT = 8888
JUPYTER_TOKEN_FILE = "/var/lib/dask-jupyter/token"  # noqa: S105 - its name; the head makes the token


@dataclass(frozen=True)
class Node:
    """An instance of a cluster, as EC2 describes it; ``index`` 0 is the head.

    Args:
        role: ``None`` if its tag has none that this version knows.
        market: on which it was bought.
        trouble: what its console says that it died of, or suffers from; "" if that was not read.
    """

    id: str
    index: int
    role: Role | None
    state: str
    private_address: str
    public_address: str | None
    instance_type: str
    zone: str
    launched: datetime
    image_id: str
    state_reason: str = ""
    ended: datetime | None = None
    market: Market = Market.ON_DEMAND
    tags: Tags = ()
    trouble: str = ""

    @property
    def role_text(self) -> str:
        """The role for people and programs: ``head``, ``worker`` or ``foreign``."""
        return str(self.role or "foreign")

    @property
    def is_live(self) -> bool:
        """True while the instance can still cost or compute."""
        return self.state in ("pending", "running", "stopping", "stopped")

    @property
    def is_up(self) -> bool:
        """True while the instance runs, or is about to."""
        return self.state in ("pending", "running")

    @property
    def address(self) -> str:
        """The address to connect to from outside."""
        return self.public_address or self.private_address


@dataclass(frozen=True)
class Cluster:
    """A cluster as EC2 describes it now: found by tag, never recorded elsewhere.

    Args:
        gone: its terminated nodes, which EC2 lists for about an hour.
        end_reason: why it shut itself down, as its head printed; "" if it has not, or if that is unknown.
    """

    name: str
    cloud: str
    region: str
    launch_id: str
    nodes: tuple[Node, ...] = ()
    groups: tuple[SecurityGroup, ...] = ()
    gone: tuple[Node, ...] = ()
    end_reason: str = ""

    @property
    def known_nodes(self) -> tuple[Node, ...]:
        """The nodes with a role that this version knows."""
        return tuple(node for node in self.nodes if node.role is not None)

    @property
    def head(self) -> Node | None:
        """The node that runs the scheduler."""
        return next((node for node in self.nodes if node.role is Role.HEAD), None)

    @property
    def gone_head(self) -> Node | None:
        """The terminated node that ran the scheduler, while EC2 lists it."""
        heads = [node for node in self.gone if node.role is Role.HEAD]
        return max(heads, key=lambda node: node.launched, default=None)

    @property
    def workers(self) -> tuple[Node, ...]:
        """The nodes that run worker processes."""
        return tuple(node for node in self.nodes if node.role is Role.WORKER)

    @property
    def nprocs(self) -> int:
        """The number of worker processes on each worker node; 0 without Dask."""
        return number_of(self._tag(Tag.NPROCS, "0"))

    @property
    def nthreads(self) -> int:
        """The number of threads of each worker process."""
        return number_of(self._tag(Tag.NTHREADS, "0"))

    @property
    def has_dask(self) -> bool:
        """True if the cluster runs a scheduler and workers."""
        return self._tag(Tag.WITHOUT_DASK, "false") != "true"

    @property
    def has_tls(self) -> bool:
        """True if scheduler, workers and clients use TLS."""
        return self._tag(Tag.TLS, "false") == "true"

    @property
    def keeps_size(self) -> bool:
        """True if worker nodes that EC2 ends are to be replaced."""
        return self._tag(Tag.KEEP_SIZE, "false") == "true"

    @property
    def credentials(self) -> CredentialSource:
        """The source of its tasks' AWS credentials; none if the tag has one that is not known."""
        tagged = self._tag(Tag.CREDENTIALS, "")
        return CredentialSource(tagged) if tagged in tuple(CredentialSource) else CredentialSource.NONE

    @property
    def transport(self) -> Connect:
        """The transport of SSH to the head; direct if the tag has one that this version does not know."""
        tagged = self._tag(Tag.CONNECT, "")
        return Connect(tagged) if tagged in tuple(Connect) else Connect.DIRECT

    @property
    def bastion(self) -> str | None:
        """The bastion host, if that is the transport."""
        return self._tag(Tag.BASTION, "") or None

    @property
    def endpoint(self) -> str | None:
        """The Instance Connect Endpoint's id, if that is the transport."""
        return self._tag(Tag.ENDPOINT, "") or None

    @property
    def ends(self) -> datetime | None:
        """The time at which its lifetime ends; ``None`` if it has none, or the tag does not say."""
        try:
            ends = datetime.fromisoformat(self._tag(Tag.ENDS, ""))
        except ValueError:
            return None
        return ends if ends.tzinfo is not None else None

    @property
    def idle_timeout(self) -> int | None:
        """The seconds without use after which it ends, 0 for no limit; ``None`` if the tag does not say."""
        tagged = self._tag(Tag.IDLE_TIMEOUT, "")
        return int(tagged) if SECONDS.fullmatch(tagged) else None

    @property
    def owners(self) -> tuple[str, ...]:
        """The different owners in the tags of its resources; empty if no resource has the tag."""
        nodes = [node.tags for node in (*self.nodes, *self.gone)]
        return tagged_owners([*nodes, *(group.tags for group in self.groups)])

    @property
    def owner(self) -> str:
        """The owner for people and programs: who launched it; "" if that is unknown."""
        return shown(self.owners)

    @property
    def owner_arn(self) -> str:
        """The ARN of the caller who launched it; "" if that is unknown."""
        groups = (dict(group.tags).get(Tag.OWNER_ARN, "") for group in self.groups)
        return printable(self._tag(Tag.OWNER_ARN, "") or next(filter(None, groups), ""), keep="")

    def _tag(self, key: str, default: str) -> str:
        nodes = (*self.nodes, *self.gone)
        return next((dict(node.tags)[key] for node in nodes if key in dict(node.tags)), default)

    @property
    def size(self) -> int:
        """The number of nodes that it should have; never fewer than it has."""
        there = [node for node in self.known_nodes if node.is_live]
        return max(number_of(self._tag(Tag.COUNT, "0")), len(there) if there else len(self.known_nodes))

    @property
    def next_index(self) -> int:
        """The first number that no node of it has ever had: the head's tag keeps those that EC2 forgot."""
        known = max((node.index for node in (*self.nodes, *self.gone)), default=0)
        return max(number_of(self._tag(Tag.NEXT_INDEX, "0")), self.size, known + 1)

    @property
    def expected_workers(self) -> int:
        """The number of worker processes once all have registered."""
        return max(sum(node.is_live for node in self.workers), self.size - 1) * self.nprocs

    @property
    def foreign_parts(self) -> tuple[str, ...]:
        """The roles and tags that another version of dask-bake, or somebody else, gave to its nodes."""
        roles = [
            f"{node.id} has the unknown role {dict(node.tags).get(Tag.ROLE, '')!r}"
            for node in self.nodes
            if node.role is None
        ]
        own = {pair for node in self.known_nodes for pair in node.tags}
        tags = {(key, value) for key, value in own if not _is_known(key, value)}
        return (*roles, *(f"the tag {key} is {value!r}" for key, value in sorted(tags)))


def _is_known(key: str, value: str) -> bool:
    """Return whether this version of dask-bake understands the value of a node's tag."""
    if key in (Tag.NPROCS, Tag.NTHREADS, Tag.COUNT, Tag.FIRST_INDEX, Tag.NEXT_INDEX, Tag.REPLACEMENT):
        return bool(NUMBER.fullmatch(value))
    if key == Tag.CREDENTIALS:
        return value in tuple(CredentialSource)
    return key != Tag.CONNECT or value in tuple(Connect)


def number_of(tagged: str) -> int:
    """Return the number that a tag has; 0 if it is none."""
    return int(tagged) if NUMBER.fullmatch(tagged) else 0
