"""Head and workers are requested zone by zone until one has capacity for all; otherwise nothing is left."""

from dataclasses import replace

import pytest

from dask_bake.errors import CapacityError, NotReadyError, QuotaError
from dask_bake.events import Note
from dask_bake.models.cloud import Market, Role
from dask_bake.models.ec2 import Subnet
from fakes import SUBNETS, FakeCloud, Fault, a_plan
from launching import start

A, B = "us-east-1a", "us-east-1b"
BIG, OLD, SMALL, GPU = "m6i.2xlarge", "m5.2xlarge", "m6i.large", "g5.2xlarge"
TWO_TYPES = {"type": (BIG, OLD), "head_type": (SMALL,)}


def requests(cloud):
    """Return each request to run instances: role, type, zone, market."""
    return [
        (str(spec.role), spec.instance_type, spec.subnet.zone[-1], str(spec.market)) for spec in cloud.specs
    ]


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


def test_without_capacity_for_workers_other_types_are_tried_and_then_another_zone():
    cloud = FakeCloud(room={(BIG, A): 0, (OLD, A): 0, (BIG, B): 0})

    cluster = start(cloud, **TWO_TYPES)

    assert requests(cloud) == [
        ("head", SMALL, "a", "on-demand"),
        ("worker", BIG, "a", "on-demand"),
        ("worker", OLD, "a", "on-demand"),
        ("head", SMALL, "b", "on-demand"),
        ("worker", BIG, "b", "on-demand"),
        ("worker", OLD, "b", "on-demand"),
    ]
    assert {node.zone for node in cluster.nodes} == {B}
    assert [node.instance_type for node in cluster.nodes] == [SMALL, OLD, OLD]


def test_a_head_whose_workers_found_no_capacity_is_terminated_and_not_listed():
    cloud = FakeCloud(room={(BIG, A): 0}, spot_room={})

    cluster = start(cloud, head_type=(SMALL,))

    heads = [node for node in cloud.instances if node.role is Role.HEAD]
    assert [(node.zone, node.state) for node in heads] == [(A, "terminated"), (B, "running")]
    assert [node.id for node in cluster.nodes if node.role is Role.HEAD] == [heads[1].id]
    assert len(cluster.nodes) == 3


def test_without_capacity_for_the_head_the_next_zone_is_tried_before_any_worker():
    cloud = FakeCloud(room={(SMALL, A): 0})

    start(cloud, head_type=(SMALL,))

    assert requests(cloud) == [
        ("head", SMALL, "a", "on-demand"),
        ("head", SMALL, "b", "on-demand"),
        ("worker", BIG, "b", "on-demand"),
    ]


def test_no_request_is_repeated_and_the_error_names_every_attempt():
    cloud = FakeCloud(room={(BIG, A): 1, (OLD, A): 0, (BIG, B): 0, (OLD, B): 0})

    with pytest.raises(CapacityError) as caught:
        start(cloud, type=(BIG, OLD))

    assert len(set(requests(cloud))) == len(requests(cloud)) == 5
    assert caught.value.message == (
        "AWS lacks capacity for this request: m6i.2xlarge in us-east-1a (InsufficientInstanceCapacity);"
        " m5.2xlarge in us-east-1a (InsufficientInstanceCapacity);"
        " m6i.2xlarge in us-east-1b (InsufficientInstanceCapacity);"
        " m5.2xlarge in us-east-1b (InsufficientInstanceCapacity)"
    )
    assert caught.value.hint == (
        "--min-workers accepts fewer workers; --type takes several types, such as m6i.2xlarge,m5.2xlarge"
    )
    assert cloud.left == []


def test_recommended_zones_are_tried_first():
    third = Subnet("subnet-3", "vpc-1", "us-east-1c", 4091)
    cloud = FakeCloud(room={(BIG, A): 0}, recommended=("us-east-1c",))

    cluster = start(cloud, subnets=(*SUBNETS, third))

    assert [request[2] for request in requests(cloud)] == ["a", "c", "c"]
    assert {node.zone for node in cluster.nodes} == {"us-east-1c"}


def test_recommended_zones_that_were_not_tried_are_named():
    cloud = FakeCloud(room={(BIG, A): 0}, recommended=("us-east-1f",))

    with pytest.raises(CapacityError) as caught:
        start(cloud, zone=(A,))

    assert caught.value.message.endswith("; EC2 reports capacity in us-east-1f")
    assert caught.value.hint.startswith("add --zone us-east-1f; ")
    assert cloud.left == []


def test_without_spot_capacity_the_hint_names_spot_with_fallback():
    cloud = FakeCloud(spot_room={(BIG, A): 0, (BIG, B): 0})

    with pytest.raises(CapacityError, match=r"m6i\.2xlarge on spot in us-east-1a") as caught:
        start(cloud, spot=True)

    assert (
        "--spot-with-fallback uses On-Demand Instances where there is no Spot capacity" in caught.value.hint
    )
    assert cloud.left == []


def test_with_fallback_spot_is_tried_in_every_zone_and_then_on_demand():
    cloud = FakeCloud(spot_room={(BIG, A): 0, (BIG, B): 0})

    cluster = start(cloud, spot_with_fallback=True)

    assert requests(cloud) == [
        ("head", BIG, "a", "on-demand"),
        ("worker", BIG, "a", "spot"),
        ("head", BIG, "b", "on-demand"),
        ("worker", BIG, "b", "spot"),
        ("head", BIG, "a", "on-demand"),
        ("worker", BIG, "a", "on-demand"),
    ]
    assert [node.state for node in cluster.nodes] == 3 * ["running"]
    assert len({spec.client_token for spec in cloud.specs}) == 6


def test_the_head_is_on_demand_even_if_the_workers_are_on_spot():
    cloud = FakeCloud()
    start(cloud, spot=True)

    assert [(spec.role, spec.market) for spec in cloud.specs] == [
        (Role.HEAD, Market.ON_DEMAND),
        (Role.WORKER, Market.SPOT),
    ]


def test_after_a_quota_error_no_other_zone_is_tried():
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("too many"), nth=2)])

    with pytest.raises(QuotaError, match="too many"):
        start(cloud)

    assert len(cloud.specs) == 1
    assert cloud.left == []


def test_after_a_quota_error_only_types_of_other_quotas_are_tried():
    faults = [Fault("run_instances", QuotaError("Standard"), nth=2)]
    cloud, events = FakeCloud(faults=faults, room={(GPU, A): 0}), []

    cluster = start(cloud, events=events, type=(BIG, OLD, GPU), head_type=(SMALL,))

    # The refused request for workers of the first type is the one that the cloud does not keep.
    assert requests(cloud) == [
        ("head", SMALL, "a", "on-demand"),
        ("worker", GPU, "a", "on-demand"),
        ("head", SMALL, "b", "on-demand"),
        ("worker", GPU, "b", "on-demand"),
    ]
    assert cloud.calls.count("run_instances") == 5
    assert notes(events)[0] == "No m6i.2xlarge: Standard."
    assert [node.instance_type for node in cluster.workers] == [GPU, GPU]


def test_quota_errors_for_all_types_end_the_launch():
    faults = [Fault("run_instances", QuotaError(text), nth=nth) for nth, text in ((2, "one"), (3, "two"))]
    cloud = FakeCloud(faults=faults)

    with pytest.raises(
        QuotaError, match=r"two; 2 g5.2xlarge in us-east-1a are 16 vCPUs of the quota L-DB2E81BA"
    ):
        start(cloud, type=(BIG, GPU, OLD))

    assert cloud.calls.count("run_instances") == 3
    assert cloud.left == []


def test_with_fallback_a_spot_quota_error_leads_to_on_demand_workers_at_the_same_head():
    cloud, events = FakeCloud(faults=[Fault("run_instances", QuotaError("Max spot"), nth=2)]), []

    cluster = start(cloud, events=events, spot_with_fallback=True)

    assert requests(cloud) == [
        ("head", BIG, "a", "on-demand"),
        ("worker", BIG, "a", "on-demand"),
    ]
    assert notes(events) == [
        "No spot instances: Max spot; 2 m6i.2xlarge on spot in us-east-1a are 16 vCPUs"
        " of the quota L-34B43A08."
    ]
    assert len(cluster.nodes) == len(cloud.instances) == 3


def test_without_fallback_a_spot_quota_error_ends_the_launch():
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("Max spot"), nth=2)])

    with pytest.raises(QuotaError):
        start(cloud, spot=True)

    assert cloud.left == []


def test_a_quota_error_for_the_head_ends_the_launch():
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("vCPUs"))])

    with pytest.raises(QuotaError):
        start(cloud, spot_with_fallback=True)

    assert cloud.left == []


def test_with_min_workers_partial_capacity_is_accepted_with_a_note():
    cloud, events = FakeCloud(room={(BIG, A): 3}), []

    cluster = start(cloud, events=events, count=9, nprocs=2, min_workers=5)

    assert (cloud.specs[1].least, cloud.specs[1].count) == (3, 8)
    assert len(cluster.workers) == 3
    assert "AWS had capacity for 3 of 8 worker nodes, which is enough for --min-workers." in notes(events)


def test_less_capacity_than_min_workers_is_an_error():
    cloud = FakeCloud(room={(BIG, A): 2, (BIG, B): 2})

    with pytest.raises(CapacityError) as caught:
        start(cloud, count=9, nprocs=2, min_workers=5)

    assert "--min-workers" not in caught.value.hint
    assert cloud.left == []


def test_after_a_server_error_for_an_instance_all_nodes_are_started_in_the_next_zone():
    cloud, events = FakeCloud(dying={"i-2": "Server.InternalError: internal error"}), []

    cluster = start(cloud, events=events)

    assert [request[2] for request in requests(cloud)] == ["a", "a", "b", "b"]
    assert {node.zone for node in cluster.nodes} == {B}
    assert sorted(node.state for node in cloud.instances) == [*3 * ["running"], *3 * ["terminated"]]
    assert notes(events) == [
        "Node 2 (i-2) ended while the cluster was launched: Server.InternalError: internal error;"
        " all nodes are started once more, elsewhere."
    ]


def test_a_second_server_error_for_an_instance_ends_the_launch():
    cloud = FakeCloud(dying=dict.fromkeys(("i-0", "i-4"), "Server.InternalError"))

    with pytest.raises(NotReadyError, match=r"node 1 \(i-4\).*Server\.InternalError"):
        start(cloud, subnets=(*SUBNETS, Subnet("subnet-3", "vpc-1", "us-east-1c", 4091)))

    assert [request[2] for request in requests(cloud)] == ["a", "a", "b", "b"]
    assert cloud.left == []


def test_a_server_error_for_an_instance_in_the_only_zone_ends_the_launch():
    cloud = FakeCloud(dying={"i-2": "Server.InternalError"})

    with pytest.raises(NotReadyError, match=r"Server\.InternalError"):
        start(cloud, zone=(A,))

    assert len(cloud.specs) == 2
    assert cloud.left == []


def test_with_fallback_spot_workers_reclaimed_at_once_are_replaced_by_on_demand():
    cloud = FakeCloud(dying={"i-1": "Server.SpotInstanceTermination"})

    cluster = start(cloud, zone=(A,), spot_with_fallback=True)

    assert requests(cloud)[2:] == [("head", BIG, "a", "on-demand"), ("worker", BIG, "a", "on-demand")]
    assert [node.state for node in cluster.nodes] == 3 * ["running"]


def test_if_only_types_with_an_exhausted_quota_remain_the_error_is_the_quota():
    """EC2 ends a node, and the next zone offers only the type whose quota is exhausted."""
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("too small"), nth=2)])
    cloud.dying = {"i-0": "Server.InternalError: no"}
    plan = a_plan(type=(BIG, GPU), head_type=(SMALL,))
    offered = frozenset({(BIG, A), (GPU, A), (SMALL, A), (BIG, B), (SMALL, B)})
    plan = replace(plan, target=replace(plan.target, offerings=offered))

    with pytest.raises(QuotaError, match=r"too small; 2 m6i.2xlarge in us-east-1a are 16 vCPUs"):
        start(cloud, plan=plan)

    assert cloud.left == []
