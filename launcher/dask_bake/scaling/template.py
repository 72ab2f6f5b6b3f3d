"""The plan of new worker nodes: like those of the launch, by what EC2 has of the cluster's nodes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dask_bake.ec2.protocols import ScaleApi
from dask_bake.errors import BakeError
from dask_bake.hints import cluster_command
from dask_bake.launch import quotas
from dask_bake.launch.bootstrap import Bootstrap
from dask_bake.launch.placement import Candidate
from dask_bake.launch.plan import LaunchPlan, LaunchTarget, client_token
from dask_bake.launch.quotas import check_quotas
from dask_bake.models.cloud import Market, Role
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import Disk, InstanceSpec, InstanceType, NodeTemplate, Subnet
from dask_bake.models.growth import Growth, growth_of
from dask_bake.models.tags import Tag, Tags
from dask_bake.options.launch import LaunchOptions
from dask_bake.scaling.plan import ScalePlan, live_workers
from dask_bake.system.concurrency import gather

NOT_COPIED = (Tag.FIRST_INDEX, Tag.COUNT, Tag.NEXT_INDEX, Tag.REPLACEMENT)
"""Tags of a worker node that each request has its own of."""
OF_AWS = "aws:"


@dataclass(frozen=True)
class Source:
    """A worker node of the cluster, by which others are made."""

    node: Node
    template: NodeTemplate


@dataclass(frozen=True, kw_only=True)
class GrowthPlan(LaunchPlan):
    """Plan of further worker nodes of a cluster: a launch's plan, of which only the workers are carried out.

    Args:
        source: the node whose user-data, groups, keys and tags the new ones get.
        first_index: number of the first new node.
        size: number of the cluster's nodes once they are there.
        replacement: number of the attempt, if they replace nodes; else 0.
    """

    source: Source
    first_index: int
    size: int
    replacement: int = 0

    def workers(
        self,
        candidate: Candidate,
        kind: InstanceType,
        head_address: str = "",  # noqa: ARG002 - the user-data has it
        groups: tuple[str, ...] = (),  # noqa: ARG002 - those of the source
    ) -> InstanceSpec:
        """Return the request for all new nodes of that type."""
        template, options = self.source.template, self.options
        # The number is never used again, so the token of each scaling is its own.
        token = client_token(
            f"{self.launch_id}|{self.first_index}",
            candidate.subnet.zone,
            Role.WORKER,
            kind.name,
            candidate.market,
        )
        return InstanceSpec(
            role=Role.WORKER,
            count=options.count - 1,
            least=options.count - 1,
            image=self.target.image,
            instance_type=kind.name,
            subnet=candidate.subnet,
            security_group_ids=template.security_group_ids,
            user_data=template.user_data,
            tags=self.node_tags,
            client_token=token,
            market=candidate.market,
            disk=self.disk,
            has_public_address=template.has_public_address,
            key_name=template.key_name,
            instance_profile=template.instance_profile,
            placement_group=template.placement_group,
        )

    @property
    def node_tags(self) -> Tags:
        """Tags of the new nodes: the source's, with numbers of their own."""
        copied = {
            key: value
            for key, value in self.source.node.tags
            if key not in NOT_COPIED and not key.startswith(OF_AWS)
        }
        own = {Tag.FIRST_INDEX: str(self.first_index), Tag.COUNT: str(self.size)}
        if self.replacement:
            own[Tag.REPLACEMENT] = str(self.replacement)
        return tuple(sorted({**copied, **own}.items()))

    @property
    def found_by(self) -> dict[str, str]:
        """The tags that the new nodes have, and nothing else."""
        return {
            Tag.MANAGED: "true",
            Tag.CLUSTER: self.options.name,
            Tag.LAUNCH: self.launch_id,
            Tag.FIRST_INDEX: str(self.first_index),
        }


def find_source(cluster: Cluster, ec2: ScaleApi) -> Source:
    """Return the newest worker node that EC2 still describes, one that is up before one that has ended.

    Raises:
        BakeError: if there is none, so that nobody knows what a worker node of the cluster is.
    """
    gone = [node for node in (*cluster.workers, *cluster.gone) if node.role is Role.WORKER and not node.is_up]
    nodes = [*_newest_first(live_workers(cluster)), *_newest_first(gone)][:3]
    for node in nodes:
        try:
            return Source(node, ec2.node_template(node.id))
        except BakeError:
            if node is nodes[-1]:
                raise
    raise BakeError(
        f"cluster {cluster.name} has no worker node left, from which new ones would get their options",
        hint=f"{cluster_command('down', cluster.name)} ends it, and dask-bake launch starts another",
    )


def plan_growth(
    plan: ScalePlan, ec2: ScaleApi, *, timeout: int, source: Source | None = None, replacement: int = 0
) -> GrowthPlan:
    """Look up what new nodes need, concurrently, and return their plan.

    Args:
        timeout: seconds for them to join.
        source: the node to make them by; without it, one is looked up.
        replacement: number of the attempt, if they replace nodes.

    Raises:
        BakeError: if the cluster's image or subnets are gone, or the account's quotas are too small.
    """
    cluster = plan.cluster
    source = source or find_source(cluster, ec2)
    growth = _with_defaults(growth_of(_head_tags(cluster)), source)
    options = _options(plan, growth, source, timeout)
    codes = quotas.codes(options)
    image, types, offerings, subnets, *found = gather(
        lambda: ec2.image(source.template.image_id),
        lambda: ec2.instance_types(growth.types),
        lambda: ec2.offerings(growth.types),
        lambda: ec2.subnets(vpc_id=source.template.vpc_id),
        *(partial(ec2.quota, code) for code in codes),
    )
    ladder = _ladder(subnets, growth, cluster, source)
    similar = _similar(types, source.node)
    options = replace(
        options, type=tuple(kind.name for kind in similar), zone=tuple(each.zone for each in ladder)
    )
    check_quotas(replace(options, count=plan.wanted), similar, found)
    target = LaunchTarget(
        cluster.cloud,
        cluster.region,
        image,
        subnets=ladder,
        types=similar,
        offerings=offerings,
        callers=(),
    )
    return GrowthPlan(
        options,
        target,
        cluster.launch_id,
        Bootstrap(public_key=""),
        source=source,
        first_index=plan.first_index,
        size=plan.wanted,
        replacement=replacement,
    )


def _newest_first(nodes: Sequence[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: (node.launched, node.index), reverse=True)


def _head_tags(cluster: Cluster) -> dict[str, str]:
    return dict(cluster.head.tags) if cluster.head is not None else {}


def _with_defaults(growth: Growth, source: Source) -> Growth:
    """Return the choices of the launch; where its head has no tag, those of the source itself."""
    own = source.node.instance_type
    return Growth(
        types=growth.types if own in growth.types else (own, *growth.types),
        subnets=growth.subnets or (source.template.subnet_id,),
        markets=growth.markets or (source.node.market,),
        disk=growth.disk or Disk(),
    )


def _options(plan: ScalePlan, growth: Growth, source: Source, timeout: int) -> LaunchOptions:
    cluster, template, disk = plan.cluster, source.template, growth.disk or Disk()
    return LaunchOptions(
        name=cluster.name,
        count=plan.add + 1,
        timeout=timeout,
        type=growth.types,
        nprocs=cluster.nprocs or 1,
        nthreads=cluster.nthreads or None,
        volume_type=disk.type,
        volume_size=disk.size,
        volume_initialization_rate=disk.initialization_rate,
        placement_group=template.placement_group,
        dask=cluster.has_dask,
        notebook=False,
        spot=growth.markets == (Market.SPOT,),
        spot_with_fallback=len(growth.markets) > 1,
        private=not template.has_public_address,
        connect=cluster.transport,
        tls=cluster.has_tls,
        keyname=template.key_name,
        iaminstance_name=template.instance_profile,
    )


def _ladder(
    subnets: Sequence[Subnet], growth: Growth, cluster: Cluster, source: Source
) -> tuple[Subnet, ...]:
    """Return the launch's subnets, those of the head's zone first: data then stays within the zone."""
    by_id = {subnet.id: subnet for subnet in subnets}
    zone = cluster.head.zone if cluster.head is not None else ""
    found = [by_id[each] for each in growth.subnets if each in by_id]
    if source.template.placement_group is not None:  # most of them cannot span zones
        found = [subnet for subnet in found if subnet.zone == zone]
    if not found:
        raise BakeError(
            f"the subnets of cluster {cluster.name} do not exist any more: {', '.join(growth.subnets)}",
            hint=f"{cluster_command('down', cluster.name)} ends the cluster",
        )
    first = [subnet for subnet in found if subnet.zone == zone]
    return tuple(dict.fromkeys((*first, *found)))


def _similar(types: Sequence[InstanceType], source: Node) -> tuple[InstanceType, ...]:
    """Return the types with as many virtual CPUs as the source's: the user-data has processes and threads."""
    own = next((kind for kind in types if kind.name == source.instance_type), None)
    return tuple(kind for kind in types if own is None or kind.vcpus == own.vcpus)
