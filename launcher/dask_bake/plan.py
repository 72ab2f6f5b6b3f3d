"""What a launch will do, decided before anything is done: options and look-ups in, ``LaunchPlan`` out."""

import hashlib
from dataclasses import dataclass
from typing import Any

from dask_bake import ec2_requests, userdata
from dask_bake.edges import InstanceType
from dask_bake.models import SCHEDULER_PORT, Image, InstanceSpec, Role, Subnet, Tag, Tags
from dask_bake.options import LaunchOptions

DEFAULT_USER = "admin"
UNKNOWN_HEAD = "10.0.0.0"
UNKNOWN_GROUP = "(the group's id)"


@dataclass(frozen=True)
class Surroundings:
    """What was looked up: all that a plan needs besides the options.

    ``newest_base`` is the name of the newest image of the kind that the image was baked from, if known.
    """

    cloud: str
    region: str
    image: Image
    subnet: Subnet
    instance_type: InstanceType
    caller: str
    newest_base: str | None = None


@dataclass(frozen=True)
class PlannedCall:
    """An EC2 call as it will be made."""

    operation: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class LaunchPlan:
    """A launch, decided: the same plan is shown by ``--dry-run`` and carried out without it."""

    options: LaunchOptions
    surroundings: Surroundings
    launch_id: str
    public_key: str

    @property
    def group_name(self) -> str:
        """The security group's name; that it can exist only once is what locks the cluster's name."""
        return group_name(self.options.name)

    @property
    def group_tags(self) -> Tags:
        """The tags of everything that the launch makes."""
        return (
            ("Name", self.group_name),
            (Tag.MANAGED, "true"),
            (Tag.CLUSTER, self.options.name),
            (Tag.LAUNCH, self.launch_id),
            (Tag.NPROCS, str(self.options.nprocs)),
            (Tag.NTHREADS, str(self.nthreads)),
        )

    @property
    def nthreads(self) -> int:
        """The threads of each worker process: its share of the node's virtual CPUs."""
        return threads_per_worker(self.surroundings.instance_type.vcpus, self.options.nprocs)

    @property
    def workers_expected(self) -> int:
        """The worker processes of the whole cluster."""
        return (self.options.count - 1) * self.options.nprocs

    @property
    def user(self) -> str:
        """The user to be on a node."""
        return self.surroundings.image.tag(Tag.USER, DEFAULT_USER)

    def head(self, group_id: str = UNKNOWN_GROUP) -> InstanceSpec:
        """The call that makes the head."""
        return self._spec(Role.HEAD, 1, group_id, head_address="127.0.0.1")

    def workers(self, head_address: str = UNKNOWN_HEAD, group_id: str = UNKNOWN_GROUP) -> InstanceSpec:
        """The call that makes all workers, once the head's address is known."""
        return self._spec(Role.WORKER, self.options.count - 1, group_id, head_address=head_address)

    def calls(self) -> tuple[PlannedCall, ...]:
        """The calls that make the cluster, with what is not known yet standing as such."""
        group = ec2_requests.create_security_group(
            self.group_name, vpc_id=self.surroundings.subnet.vpc_id, tags=self.group_tags
        )
        ingress = ec2_requests.authorize(UNKNOWN_GROUP, caller=self.surroundings.caller)
        return (
            PlannedCall("CreateSecurityGroup", group),
            PlannedCall("AuthorizeSecurityGroupIngress", ingress),
            PlannedCall("RunInstances", ec2_requests.run_instances(self.head())),
            PlannedCall("RunInstances", ec2_requests.run_instances(self.workers())),
        )

    def _spec(self, role: Role, count: int, group_id: str, *, head_address: str) -> InstanceSpec:
        around, options = self.surroundings, self.options
        own = (("Name", f"{options.name}-{role}"), (Tag.ROLE, str(role)), (Tag.USER, self.user))
        return InstanceSpec(
            role=role,
            count=count,
            image=around.image,
            instance_type=options.type,
            subnet=around.subnet,
            security_group_id=group_id,
            user_data=userdata.render(
                role,
                userdata.NodeSettings(
                    cluster=options.name,
                    public_key=self.public_key,
                    scheduler=f"tcp://{head_address}:{SCHEDULER_PORT}",
                    nprocs=options.nprocs,
                    nthreads=self.nthreads,
                ),
            ),
            tags=tuple(sorted({**dict(self.group_tags), **dict(own)}.items())),
            client_token=client_token(self.launch_id, around.subnet.zone, role, batch=0),
        )


def group_name(cluster: str) -> str:
    """The name of a cluster's security group."""
    return f"dask-bake-{cluster}"


def threads_per_worker(vcpus: int, nprocs: int) -> int:
    """Each process's share of the virtual CPUs, and at least one."""
    return max(1, vcpus // nprocs)


def client_token(launch_id: str, zone: str, role: Role, *, batch: int) -> str:
    """A token by which EC2 knows a repeated request; another zone is another request."""
    return hashlib.sha256(f"{launch_id}|{zone}|{role}|{batch}".encode()).hexdigest()[:64]
