"""The plan of new nodes, by what EC2 has of a worker node that is there."""

from dataclasses import replace

import pytest

from dask_bake.errors import BakeError
from dask_bake.models.cloud import Market
from dask_bake.models.ec2 import NodeTemplate
from dask_bake.models.growth import growth_of
from dask_bake.scaling.plan import plan_scale
from dask_bake.scaling.template import find_source
from fakes import a_cluster, a_plan


class Templates:
    """EC2 that knows some nodes; it has the ids that it was asked for."""

    def __init__(self, template, *unknown: str) -> None:
        self.template, self.unknown, self.asked = template, unknown, []

    def node_template(self, instance_id: str) -> NodeTemplate:
        self.asked.append(instance_id)
        if instance_id in self.unknown:
            raise BakeError("no such instance")
        return self.template


@pytest.fixture
def cluster():
    return a_cluster(a_plan(count=4, nprocs=2, spot_with_fallback=True))


def test_the_newest_node_that_is_up_is_the_source(cluster):
    _one, two, three = cluster.workers
    ended = replace(three, state="terminated")
    lost = replace(cluster, nodes=cluster.nodes[:3], gone=(ended,))
    ec2 = Templates(template := object())

    source = find_source(lost, ec2)
    assert (source.node.index, source.template, ec2.asked) == (two.index, template, [two.id])


def test_a_node_that_ec2_does_not_know_any_more_is_passed_over(cluster):
    _one, two, three = cluster.workers
    ec2 = Templates(object(), three.id)
    assert find_source(cluster, ec2).node.id == two.id
    assert ec2.asked == [three.id, two.id]


def test_a_node_that_has_ended_is_the_source_if_none_is_up(cluster):
    ended = tuple(replace(node, state="terminated") for node in cluster.workers)
    lost = replace(cluster, nodes=cluster.nodes[:1], gone=ended)
    assert find_source(lost, Templates(object())).node.index == 3


def test_without_any_worker_node_there_is_no_source(cluster):
    alone = replace(cluster, nodes=cluster.nodes[:1])
    with pytest.raises(BakeError, match="has no worker node left"):
        find_source(alone, Templates(object()))


def test_the_head_s_tags_have_the_ladder_of_the_launch(cluster):
    growth = growth_of(dict(cluster.head.tags))
    assert growth.markets == (Market.SPOT, Market.ON_DEMAND)
    assert plan_scale(cluster, 5).first_index == 4
