"""In-memory EC2, a head connection without SSH, and a clock that only ``sleep`` moves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from dask_bake.ec2.protocols import LaunchQueries
from dask_bake.errors import BakeError, CapacityError, UsageError
from dask_bake.hints import complete
from dask_bake.launch import preflight
from dask_bake.launch.bootstrap import Bootstrap
from dask_bake.launch.discovery import discover
from dask_bake.launch.plan import LaunchPlan, LaunchTarget
from dask_bake.models.cloud import Cloud, Market, Role
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import (
    ConnectEndpoint,
    Image,
    InstanceSpec,
    InstanceType,
    PlacementGroup,
    Quota,
    Rule,
    SecurityGroup,
    Subnet,
)
from dask_bake.models.tags import Tag, Tags
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.parse import checked

HOST_KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'Host':0<43}"
CONSOLE = f"""booting
-----BEGIN SSH HOST KEY KEYS-----
{HOST_KEY} root@head
-----END SSH HOST KEY KEYS-----
ready
"""
IMAGE = Image(
    id="ami-0123456789abcdef0",
    name="dask",
    state="available",
    created=datetime(2026, 1, 2, tzinfo=UTC),
    tags=((Tag.USER, "admin"),),
)
SUBNETS = (Subnet("subnet-1", "vpc-1", "us-east-1a", 4091), Subnet("subnet-2", "vpc-1", "us-east-1b", 4091))
TYPE = InstanceType("m6i.2xlarge", 8, ("x86_64",), 32768)
TYPES = (
    TYPE,
    InstanceType("m5.2xlarge", 8, ("x86_64",), 32768),
    InstanceType("m6i.large", 2, ("x86_64",), 8192),
    InstanceType("g5.2xlarge", 8, ("x86_64",), 32768),
)
CLOUD = Cloud("aws", "us-east-1", "https://address.example")
ARN = "arn:aws:iam::123456789012:user/anna"
PUBLIC_KEY = "ssh-ed25519 AAAAPublic dask-bake dask"


def a_plan(
    *, launch_id: str = "launch1", image: Image = IMAGE, subnets: tuple[Subnet, ...] = SUBNETS, **options
) -> LaunchPlan:
    """Return a plan of a head and two workers; of two processes each unless the options differ."""
    target = LaunchTarget(
        "aws",
        "us-east-1",
        image,
        subnets=subnets,
        types=TYPES,
        offerings=frozenset((kind.name, subnet.zone) for kind in TYPES for subnet in subnets),
        callers=("192.0.2.7/32",),
    )
    has_dask = options.get("dask", True) and options.get("provision", True)
    chosen = checked(LaunchOptions(**{"count": 3, "nprocs": 2 if has_dask else 1, **options}))
    return LaunchPlan(chosen, target, launch_id, Bootstrap(PUBLIC_KEY))


def a_target(
    options: LaunchOptions, cloud: Cloud, ec2: LaunchQueries, caller: str = "192.0.2.7/32"
) -> LaunchTarget:
    """Return the target of a launch with these options, as discovered in that cloud."""
    found = discover(options, cloud, ec2, lambda: caller)
    return preflight.check(options, cloud, found, now=datetime.now(UTC))


def in_a_group(plan: LaunchPlan) -> LaunchPlan:
    """Return the same plan with an additional security group of the user's."""
    groups = (SecurityGroup("sg-7", "storage", "vpc-1"),)
    return replace(plan, target=replace(plan.target, groups=groups))


def head_of(plan: LaunchPlan, *groups: str) -> InstanceSpec:
    """Return the first request for the head."""
    return plan.head(plan.first, plan.first.head_types[0], groups or ("sg-1", "sg-2"))


def workers_of(plan: LaunchPlan, address: str = "10.0.0.4", *groups: str) -> InstanceSpec:
    """Return the first request for the workers."""
    return plan.workers(plan.first, plan.first.worker_types[0], address, groups or ("sg-1",))


class FakeClock:
    """A clock that only ``sleep`` moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Fault:
    """An error that the nth call of an operation raises, before or after its work."""

    operation: str
    error: BaseException
    nth: int = 1
    after: bool = False


@dataclass
class FakeCloud:
    """In-memory EC2: nodes are running at the second description, and need two descriptions to terminate."""

    faults: list[Fault] = field(default_factory=list)
    instances: list[Node] = field(default_factory=list)
    security_groups: list[SecurityGroup] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    specs: list[InstanceSpec] = field(default_factory=list)
    rules: list[tuple[str, Rule]] = field(default_factory=list)
    keys: dict[str, Tags] = field(default_factory=dict)
    room: Mapping[tuple[str, str], int] = field(default_factory=dict)
    spot_room: Mapping[tuple[str, str], int] = field(default_factory=dict)
    recommended: tuple[str, ...] = ()
    console: str = CONSOLE
    dying: Mapping[str, str] = field(default_factory=dict)
    immortal: bool = False
    strangers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    delay: int = 0
    answered: dict[str, tuple[InstanceSpec, tuple[Node, ...]]] = field(default_factory=dict)
    arn: str = ARN

    def caller_arn(self) -> str:
        return self.arn

    def create_security_group(self, name: str, *, vpc_id: str, tags: Tags) -> SecurityGroup | None:
        with self._call("create_security_group"):
            if any((group.name, group.vpc_id) == (name, vpc_id) for group in self.security_groups):
                return None
            group = SecurityGroup(f"sg-{len(self.security_groups)}", name, vpc_id, tags)
            self.security_groups.append(group)
            return group

    def authorize(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        with self._call("authorize"):
            self.rules.extend((group.id, rule) for rule in rules)

    def revoke(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        with self._call("revoke"):
            self.rules = [each for each in self.rules if each not in [(group.id, rule) for rule in rules]]

    def import_key_pair(self, name: str, *, public_key: str, tags: Tags) -> None:
        with self._call("import_key_pair"):
            self.keys[name] = tags

    def key_pairs(self, tags: Mapping[str, str]) -> tuple[str, ...]:
        with self._call("key_pairs"):
            return tuple(name for name, own in self.keys.items() if has(own, tags))

    def delete_key_pair(self, name: str) -> None:
        with self._call("delete_key_pair"):
            del self.keys[name]

    def run_instances(self, spec: InstanceSpec) -> tuple[Node, ...]:
        with self._call("run_instances"):
            self.specs.append(spec)
            if spec.client_token in self.answered:
                before, nodes = self.answered[spec.client_token]
                assert spec == before, "IdempotentParameterMismatch"
                return nodes
            room = self.spot_room if spec.market is Market.SPOT else self.room
            count = min(spec.count, room.get((spec.instance_type, spec.subnet.zone), spec.count))
            if count < spec.least:
                raise CapacityError(
                    "none", hint=None, code="InsufficientInstanceCapacity", zones=self.recommended
                )
            nodes = tuple(self._node(spec, position) for position in range(count))
            self.instances.extend(nodes)
            self.answered[spec.client_token] = (spec, nodes)
            return nodes

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        with self._call("tag"):
            self.instances = [
                replace(node, tags=tuple(sorted({**dict(node.tags), **dict(tags)}.items())))
                if node.id in resource_ids
                else node
                for node in self.instances
            ]
            known = {group.id for group in self.security_groups} | {node.id for node in self.instances}
            if not known.issuperset(resource_ids):
                raise BakeError("CreateTags failed: it does not exist (InvalidID)")
            self.security_groups = [
                replace(group, tags=tuple({**dict(group.tags), **dict(tags)}.items()))
                if group.id in resource_ids
                else group
                for group in self.security_groups
            ]

    def nodes(self, tags: Mapping[str, str]) -> tuple[Node, ...]:
        with self._call("nodes"):
            if self.delay:
                self.delay -= 1
                return ()
            seen = tuple(node for node in self.instances if has(node.tags, tags))
            self.instances = [self._next(node) for node in self.instances]
            return seen

    def groups(self, tags: Mapping[str, str], *, name: str | None = None) -> tuple[SecurityGroup, ...]:
        with self._call("groups"):
            return tuple(
                group
                for group in self.security_groups
                if has(group.tags, tags) and name in (None, group.name)
            )

    def console_output(self, instance_id: str) -> str:
        with self._call("console_output"):
            return self.console

    def terminate(self, instance_ids: Sequence[str]) -> None:
        with self._call("terminate"):
            if self.immortal:
                return
            self.instances = [
                replace(node, state="shutting-down") if node.id in instance_ids and node.is_live else node
                for node in self.instances
            ]

    def delete_security_group(self, group_id: str) -> bool:
        with self._call("delete_security_group"):
            in_use = any(node.state != "terminated" and self._uses(node, group_id) for node in self.instances)
            if in_use or self.strangers.get(group_id):
                return False
            self.security_groups = [group for group in self.security_groups if group.id != group_id]
            return True

    def holders(self, group_id: str) -> tuple[str, ...]:
        return tuple(self.strangers.get(group_id, ()))

    @property
    def left(self) -> list[str]:
        """The ids and names of everything that still costs money or occupies a name."""
        live = [node.id for node in self.instances if node.state not in ("terminated", "shutting-down")]
        return live + [group.id for group in self.security_groups] + list(self.keys)

    def _call(self, operation: str) -> "_Call":
        self.calls.append(operation)
        nth = Counter(self.calls)[operation]
        return _Call([each for each in self.faults if (each.operation, each.nth) == (operation, nth)])

    def _uses(self, node: Node, group_id: str) -> bool:
        (group,) = (group for group in self.security_groups if group.id == group_id)
        return dict(node.tags)[Tag.LAUNCH] == dict(group.tags)[Tag.LAUNCH]

    def _next(self, node: Node) -> Node:
        if reason := self.dying.get(node.id):
            return replace(node, state="terminated", state_reason=reason)
        state = {"pending": "running", "shutting-down": "terminated"}.get(node.state, node.state)
        return replace(node, state=state)

    def _node(self, spec: InstanceSpec, position: int) -> Node:
        number = len(self.instances) + position
        return Node(
            id=f"i-{number}",
            index=0 if spec.role is Role.HEAD else int(dict(spec.tags).get(Tag.FIRST_INDEX, "1")) + position,
            role=spec.role,
            state="pending",
            private_address=f"10.0.0.{4 + number}",
            public_address=None,
            instance_type=spec.instance_type,
            zone=spec.subnet.zone,
            launched=datetime(2026, 1, 2, tzinfo=UTC),
            image_id=spec.image.id,
            tags=spec.tags,
        )


@dataclass
class FakeQueries:
    """In-memory look-ups of a region; images are listed by the account that owns them."""

    images: Mapping[str, Sequence[Image]] = field(default_factory=dict)
    types: Sequence[InstanceType] = (TYPE,)
    refused: Sequence[str] = ()
    security_groups: Sequence[SecurityGroup] = ()
    all_subnets: Sequence[Subnet] = SUBNETS
    quotas: Mapping[str, float] = field(default_factory=dict)
    placement_groups: Mapping[str, PlacementGroup] = field(default_factory=dict)
    key_names: Sequence[str] = ()
    endpoints: Sequence[ConnectEndpoint] = ()
    profiles: Sequence[str] | None = ()
    there: Sequence[Node] = ()
    consoles: Mapping[str, str] = field(default_factory=dict)
    denied: Sequence[str] = ()
    broken: Sequence[str] = ()
    image_queries: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    arn: str = ARN

    def caller_arn(self) -> str:
        return self.arn

    def find_images(
        self, *, owners: Sequence[str], filters: Mapping[str, str | Sequence[str]]
    ) -> tuple[Image, ...]:
        (owner,) = owners
        self.image_queries.append((owner, dict(filters)))
        if owner in self.refused:
            raise BakeError("these AWS credentials may not call ec2:DescribeImages")
        found = [image for image in self.images.get(owner, ()) if self._matches(image, filters)]
        return tuple(sorted(found, key=lambda image: (image.created, image.id), reverse=True))

    def image(self, image_id: str) -> Image:
        return next(image for images in self.images.values() for image in images if image.id == image_id)

    def instance_types(self, names: Sequence[str]) -> tuple[InstanceType, ...]:
        found = {each.name: each for each in self.types}
        if missing := [name for name in names if name not in found]:
            raise UsageError(f"there is no type {missing[0]}", hint="such as m6i.2xlarge")
        return tuple(found[name] for name in names)

    def offerings(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        return frozenset((name, subnet.zone) for name in names for subnet in SUBNETS)

    def subnets(self, *, vpc_id: str | None = None, subnet_id: str | None = None) -> tuple[Subnet, ...]:
        return tuple(
            each
            for each in self.all_subnets
            if vpc_id in (None, each.vpc_id) and subnet_id in (None, each.id)
        )

    def groups(self, tags: Mapping[str, str], *, name: str | None = None) -> tuple[SecurityGroup, ...]:
        return tuple(
            each for each in self.security_groups if has(each.tags, tags) and name in (None, each.name)
        )

    def nodes(self, tags: Mapping[str, str]) -> tuple[Node, ...]:
        return tuple(each for each in self.there if has(each.tags, tags))

    def console_output(self, instance_id: str) -> str:
        return self.consoles.get(instance_id, "")

    def connect_endpoints(self) -> tuple[ConnectEndpoint, ...]:
        return tuple(self.endpoints)

    def has_key_pair(self, name: str) -> bool:
        return name in self.key_names

    def placement_group(self, name: str) -> PlacementGroup | None:
        return self.placement_groups.get(name)

    def quota(self, code: str) -> Quota | None:
        return Quota(code, f"Quota {code}", self.quotas[code]) if code in self.quotas else None

    def denial(self, operation: str, request: Mapping[str, Any]) -> BakeError | None:
        self.requests.append((operation, request))
        if operation in self.broken:
            raise BakeError("RunInstances failed: no such thing (InvalidParameterValue)")
        return BakeError("denied", hint="ask for that permission") if operation in self.denied else None

    def has_instance_profile(self, name: str) -> bool | None:
        return None if self.profiles is None else name in self.profiles

    def named_groups(
        self, *, name: str | None = None, group_id: str | None = None
    ) -> tuple[SecurityGroup, ...]:
        return tuple(
            each for each in self.security_groups if name in (None, each.name) and group_id in (None, each.id)
        )

    def _matches(self, image: Image, filters: Mapping[str, str]) -> bool:
        def value(key: str) -> str:
            return image.tag(key.removeprefix("tag:")) if key.startswith("tag:") else getattr(image, key)

        return all(fnmatchcase(value(key), pattern) for key, pattern in filters.items())


class _Call:
    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def __enter__(self) -> None:
        for fault in self.faults:
            if not fault.after:
                raise fault.error

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            for fault in self.faults:
                raise fault.error


@dataclass
class FakeHeadConnection:
    """A connection to a scheduler that has one more worker process at each query."""

    cloud: FakeCloud
    limit: int = 1000
    answers: bool = True
    trouble: str = ""
    pinned: dict[str, str] = field(default_factory=dict)
    secrets: bool = False
    closed: bool = False
    queries: int = 0
    journals: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        self.secrets = True

    def pin(self, node: Node, host_key: str) -> None:
        self.pinned[node.id] = host_key

    def is_pinned(self, node: Node) -> bool:
        return node.id in self.pinned

    def opens(self, head: Node) -> bool:
        return self.answers

    def registered(self, head: Node) -> Mapping[str, int] | None:
        if not self.answers:
            return None
        self.queries += 1
        workers = [node for node in self.cloud.instances if node.role is Role.WORKER]
        return Counter(
            workers[i % len(workers)].private_address for i in range(min(self.queries, self.limit))
        )

    def journal(self, cluster: Cluster, node: Node, unit: str) -> str:
        return self.journals.get(f"{node.id} {unit}", "")

    def close(self) -> None:
        self.closed = True

    def forget(self) -> None:
        self.secrets = False


class AllRegistered(FakeHeadConnection):
    """A connection to a head with which all worker processes have registered."""

    processes = 2
    """Worker processes of each node."""

    def registered(self, head: Node) -> Mapping[str, int]:
        nodes = self.cloud.nodes({Tag.MANAGED: "true"})
        return {node.private_address: self.processes for node in nodes if node.role is Role.WORKER}


class Ec2WithHostKey:
    """EC2 API whose console output is a host key: moto and pretended machines print none."""

    def __init__(self, edge: Any) -> None:
        self._edge = edge

    def __getattr__(self, name: str) -> Any:
        return getattr(self._edge, name)

    def console_output(self, instance_id: str) -> str:
        """Send the request, but return the console of a node that is ready."""
        self._edge.console_output(instance_id)
        return CONSOLE


def a_cluster(plan: LaunchPlan | None = None) -> Cluster:
    """Return a running cluster of the plan's size."""
    plan, cloud = plan or a_plan(), FakeCloud()
    (head,) = cloud.run_instances(head_of(plan))
    workers = cloud.run_instances(workers_of(plan, head.private_address))
    return Cluster(
        name=plan.options.name,
        cloud="aws",
        region="us-east-1",
        launch_id=plan.launch_id,
        nodes=tuple(replace(node, state="running") for node in (head, *workers)),
        groups=(SecurityGroup("sg-0", plan.group_name, "vpc-1", plan.group_tags),),
    )


def has(tags: Tags, wanted: Mapping[str, str]) -> bool:
    """Return whether all the wanted tags are there."""
    return wanted.items() <= dict(tags).items()


def hint_of(error: BakeError, *flags: str) -> str:
    """Return the error's hint as printed for a user who typed these flags."""
    return complete(error.hint or "", flags)
