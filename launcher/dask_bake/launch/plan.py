"""Plan of a launch: every request, decided from the options and the look-ups before any is sent."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dask_bake.clusters.naming import DEFAULT_USER, group_name, head_group_name, moment, ssh_rule
from dask_bake.ec2 import requests
from dask_bake.launch.bootstrap import Bootstrap
from dask_bake.launch.placement import Candidate, WorkerLayout, find_candidates, least_nodes, worker_layout
from dask_bake.models.cloud import Connect, CredentialSource, Market, Role
from dask_bake.models.cluster import Cluster
from dask_bake.models.ec2 import Disk, Image, InstanceSpec, InstanceType, Rule, SecurityGroup, Subnet
from dask_bake.models.growth import Growth
from dask_bake.models.owner import NOBODY, Owner
from dask_bake.models.tags import CLIENT_TAGS, Tag, Tags
from dask_bake.options.launch import LaunchOptions

UNKNOWN_HEAD = "10.0.0.0"
UNKNOWN_GROUP = "sg-members"
UNKNOWN_HEAD_GROUP = "sg-head"
LONGEST_ADDRESS = "255.255.255.255"


@dataclass(frozen=True)
class LaunchTarget:
    """Target of a launch: the facts about the cloud that a plan needs besides the options.

    Args:
        subnets: subnets that the launch may use.
        types: every instance type that the options name.
        offerings: pairs of a type and a zone that offers it.
        callers: address blocks and ids of groups that may reach SSH on the head; empty if no port is opened.
        groups: the user's own groups, which the nodes join too.
        endpoint: id of the Instance Connect endpoint that carries SSH, if one does.
        ended: the cluster that had the name and has ended; the launch removes what is left of it.
        owner: the owner of what the launch makes.
    """

    cloud: str
    region: str
    image: Image
    subnets: tuple[Subnet, ...]
    types: tuple[InstanceType, ...]
    offerings: frozenset[tuple[str, str]]
    callers: tuple[str, ...]
    groups: tuple[SecurityGroup, ...] = ()
    endpoint: str | None = None
    ended: Cluster | None = None
    owner: Owner = NOBODY


@dataclass(frozen=True)
class LaunchPlan:
    """Plan of a launch; ``--dry-run`` shows the same plan that a launch executes."""

    options: LaunchOptions
    target: LaunchTarget
    launch_id: str
    bootstrap: Bootstrap
    begun: datetime | None = None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Candidates to try, in order."""
        target = self.target
        return find_candidates(self.options, target.subnets, target.types, target.offerings)

    @property
    def first(self) -> Candidate:
        """Candidate to try first."""
        return self.candidates[0]

    @property
    def group_name(self) -> str:
        """Name of the security group; it can exist only once, which locks the cluster's name."""
        return group_name(self.options.name)

    @property
    def head_group_name(self) -> str:
        """Name of the group that allows SSH to the head; no cluster's name has a ``/``."""
        return head_group_name(self.options.name)

    @property
    def key_name(self) -> str | None:
        """Name of the nodes' EC2 key pair: the user's, or a new one if nothing else installs the key."""
        if self.options.keyname is None and not self.options.provision:
            return self.group_name
        return self.options.keyname

    @property
    def own_key_name(self) -> str | None:
        """Name of the EC2 key pair that the launch creates, if it creates one."""
        return self.key_name if self.options.keyname is None else None

    @property
    def tags(self) -> Tags:
        """Tags of every resource that the launch creates."""
        return (
            *self.options.all_tags.items(),
            (Tag.MANAGED, "true"),
            (Tag.CLUSTER, self.options.name),
            (Tag.LAUNCH, self.launch_id),
            *(((Tag.CREATED, moment(self.begun)),) if self.begun else ()),
            *self.target.owner.tags,
        )

    @property
    def group_tags(self) -> Tags:
        """Tags of the group, of the head's group, and of the key pair."""
        return (("Name", self.group_name), *self.tags) if "Name" not in self.options.all_tags else self.tags

    @property
    def user(self) -> str:
        """Login user of the nodes."""
        return self.options.username or self._image_user

    @property
    def _image_user(self) -> str:
        return self.target.image.tag(Tag.USER, DEFAULT_USER)

    @property
    def _other_user(self) -> str | None:
        """Login user, if it differs from the image's own."""
        return None if self.user == self._image_user else self.user

    @property
    def head_rules(self) -> tuple[Rule, ...]:
        """Ingress rules of the head's group; empty if SSH goes through Session Manager."""
        return tuple(ssh_rule(caller) for caller in self.target.callers)

    @property
    def disk(self) -> Disk:
        """Root volume of each node."""
        options = self.options
        return Disk(options.volume_type, options.volume_size, options.volume_initialization_rate)

    @property
    def _growth_tags(self) -> dict[str, str]:
        """Tags of the head by which nodes can be added later, from any machine."""
        candidates = self.candidates
        growth = Growth(
            types=self.options.type,
            subnets=tuple(dict.fromkeys(each.subnet.id for each in candidates)),
            markets=tuple(dict.fromkeys(each.market for each in candidates)),
            disk=self.disk,
        )
        keep = {Tag.KEEP_SIZE: "true"} if self.options.keeps_size else {}
        return {**dict(growth.tags), **keep, Tag.NEXT_INDEX: str(self.options.count)}

    def least_nodes(self, kind: InstanceType) -> int:
        """Return the number of worker nodes of that type that suffice."""
        return least_nodes(self.options, kind)

    def worker_layout(self, instance_type: InstanceType) -> WorkerLayout:
        """Return the processes and threads on a worker node of that type."""
        return worker_layout(self.options, instance_type)

    def head(
        self,
        candidate: Candidate,
        kind: InstanceType,
        groups: tuple[str, ...] = (UNKNOWN_GROUP, UNKNOWN_HEAD_GROUP),
    ) -> InstanceSpec:
        """Return the request for a head of that type, for the candidate."""
        return self._spec(Role.HEAD, candidate, kind, groups, count=1, least=1, head_address="127.0.0.1")

    def workers(
        self,
        candidate: Candidate,
        kind: InstanceType,
        head_address: str = UNKNOWN_HEAD,
        groups: tuple[str, ...] = (UNKNOWN_GROUP,),
    ) -> InstanceSpec:
        """Return the request for all worker nodes of that type; it needs the head's address."""
        count, least = self.options.count - 1, self.least_nodes(kind)
        return self._spec(
            Role.WORKER, candidate, kind, groups, count=count, least=least, head_address=head_address
        )

    def create_group(self, name: str, candidate: Candidate) -> dict[str, Any]:
        """Return the request for a security group of that name in the candidate's VPC."""
        return requests.create_security_group(name, vpc_id=candidate.subnet.vpc_id, tags=self.group_tags)

    def _spec(
        self,
        role: Role,
        candidate: Candidate,
        kind: InstanceType,
        groups: tuple[str, ...],
        *,
        count: int,
        least: int,
        head_address: str,
    ) -> InstanceSpec:
        options = self.options
        market = candidate.market if role is Role.WORKER else Market.ON_DEMAND
        own = {group.id for group in self.target.groups}
        user_data = None
        if options.provision:
            user_data = self.bootstrap.user_data(
                options, role, self.worker_layout(kind), head_address=head_address, user=self._other_user
            )
        return InstanceSpec(
            role=role,
            count=count,
            least=least,
            image=self.target.image,
            instance_type=kind.name,
            subnet=candidate.subnet,
            security_group_ids=(*groups, *sorted(own)),
            user_data=user_data,
            tags=self._node_tags(role, kind, candidate),
            # The head's token has the candidate's market too: after a terminated head, it must differ.
            client_token=client_token(
                self.launch_id, candidate.subnet.zone, role, kind.name, candidate.market
            ),
            market=market,
            disk=self.disk,
            has_public_address=not options.private,
            key_name=self.key_name,
            instance_profile=options.iaminstance_name,
            placement_group=options.placement_group,
        )

    @property
    def _limit_tags(self) -> Mapping[str, str]:
        """Tags of the head with the limits that its user-data sets."""
        options, tags = self.options, {}
        if options.provision and options.max_lifetime and self.begun is not None:
            with suppress(OverflowError):  # it ends after the last year that there is
                tags[Tag.ENDS] = moment(self.begun + timedelta(seconds=options.max_lifetime))
        has_idle = options.provision and options.runs_dask
        tags[Tag.IDLE_TIMEOUT] = str(options.idle_timeout if has_idle else 0)
        return tags

    def _node_tags(self, role: Role, kind: InstanceType, candidate: Candidate) -> Tags:
        options = self.options
        enough = min(self.least_nodes(each) for each in candidate.worker_types)
        own = {Tag.ROLE: str(role), Tag.USER: self.user, Tag.COUNT: str(1 + enough)}
        # The image may be gone when a client connects.
        own |= {key: version for key in CLIENT_TAGS if (version := self.target.image.tag(key))}
        if role is Role.WORKER and options.runs_dask:
            layout = self.worker_layout(kind)
            own |= {Tag.NPROCS: str(layout.nprocs), Tag.NTHREADS: str(layout.nthreads)}
        own |= {Tag.FIRST_INDEX: "1"} if role is Role.WORKER else {**self._growth_tags, **self._limit_tags}
        if not options.runs_dask:
            own[Tag.WITHOUT_DASK] = "true"
        if options.credential_source is not CredentialSource.NONE:
            own[Tag.CREDENTIALS] = str(options.credential_source)
        if options.transport is not Connect.DIRECT:
            own[Tag.CONNECT] = str(options.transport)
        if options.bastion is not None:
            own[Tag.BASTION] = options.bastion
        if self.target.endpoint is not None:
            own[Tag.ENDPOINT] = self.target.endpoint
        if options.tls:
            own[Tag.TLS] = "true"
        named = {"Name": f"{options.name}-{role}", **options.all_tags}
        return tuple(sorted({**named, **dict(self.tags), **own}.items()))


def client_token(launch_id: str, zone: str, role: Role, instance_type: str, market: Market) -> str:
    """Return the token by which EC2 recognises a retry; another zone, type or market is a new request."""
    parts = (launch_id, zone, role, instance_type, market)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:64]


def check_user_data(plan: LaunchPlan) -> None:
    """Raise unless the user-data of each role and type is within its limit, for any head address."""
    for kind in plan.target.types:
        if kind.name in plan.options.head_types:
            plan.head(plan.first, kind)
        if kind.name in plan.options.type:
            plan.workers(plan.first, kind, LONGEST_ADDRESS)
