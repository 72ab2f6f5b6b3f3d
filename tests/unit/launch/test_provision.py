"""Head and workers are requested zone by zone until one has capacity for all; otherwise nothing is left."""

from dataclasses import replace

import pytest

from dask_bake.errors import CapacityError, NotReadyError, QuotaError
from dask_bake.events import Note
from dask_bake.launch.executor import launch
from dask_bake.models.cloud import Market, Role
from dask_bake.models.ec2 import Subnet
from fakes import SUBNETS, FakeClock, FakeCloud, FakeHeadConnection, Fault, a_plan

A, B = "us-east-1a", "us-east-1b"
BIG, OLD, SMALL, GPU = "m6i.2xlarge", "m5.2xlarge", "m6i.large", "g5.2xlarge"
TWO_TYPES = {"type": (BIG, OLD), "head_type": (SMALL,)}


def start(cloud, connection=None, events=None, **options):
    clock = FakeClock()
    return launch(
        a_plan(**options),
        cloud,
        connection or FakeHeadConnection(cloud),
        notify=(events if events is not None else []).append,
        clock=clock,
        sleep=clock.sleep,
    )


def requests(cloud):
    """Each request to run instances: role, type, zone, market."""
    return [
        (str(spec.role), spec.instance_type, spec.subnet.zone[-1], str(spec.market)) for spec in cloud.specs
    ]


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


def test_workers_without_room_are_tried_as_other_types_and_then_in_another_zone():
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


def test_a_head_whose_workers_found_no_room_is_ended_and_none_of_the_clusters():
    cloud = FakeCloud(room={(BIG, A): 0}, spot_room={})

    cluster = start(cloud, head_type=(SMALL,))

    heads = [node for node in cloud.instances if node.role is Role.HEAD]
    assert [(node.zone, node.state) for node in heads] == [(A, "terminated"), (B, "running")]
    assert [node.id for node in cluster.nodes if node.role is Role.HEAD] == [heads[1].id]
    assert len(cluster.nodes) == 3


def test_a_head_without_room_is_tried_in_another_zone_before_any_worker():
    cloud = FakeCloud(room={(SMALL, A): 0})

    start(cloud, head_type=(SMALL,))

    assert requests(cloud) == [
        ("head", SMALL, "a", "on-demand"),
        ("head", SMALL, "b", "on-demand"),
        ("worker", BIG, "b", "on-demand"),
    ]


def test_no_request_is_made_twice_and_the_error_names_all_that_were_tried():
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
        "--min-workers takes what there is; --type takes several types, such as m6i.2xlarge,m5.2xlarge"
    )
    assert cloud.left == []


def test_the_zones_that_ec2_recommends_are_tried_first_of_those_ahead():
    third = Subnet("subnet-3", "vpc-1", "us-east-1c", 4091)
    cloud = FakeCloud(room={(BIG, A): 0}, recommended=("us-east-1c",))

    cluster = start(cloud, subnets=(*SUBNETS, third))

    assert [request[2] for request in requests(cloud)] == ["a", "c", "c"]
    assert {node.zone for node in cluster.nodes} == {"us-east-1c"}


def test_the_zones_that_ec2_recommends_and_were_not_tried_are_named():
    cloud = FakeCloud(room={(BIG, A): 0}, recommended=("us-east-1f",))

    with pytest.raises(CapacityError) as caught:
        start(cloud, zone=(A,))

    assert caught.value.message.endswith("; EC2 says that there is room in us-east-1f")
    assert caught.value.hint.startswith("--zone us-east-1f tries there; ")
    assert cloud.left == []


def test_without_spot_capacity_a_launch_on_spot_fails_and_says_what_would_not():
    cloud = FakeCloud(spot_room={(BIG, A): 0, (BIG, B): 0})

    with pytest.raises(CapacityError, match=r"m6i\.2xlarge on spot in us-east-1a") as caught:
        start(cloud, spot=True)

    assert (
        "--spot-with-fallback takes on-demand instances where there is no spot capacity" in caught.value.hint
    )
    assert cloud.left == []


def test_with_a_fallback_spot_is_tried_in_every_zone_and_then_on_demand():
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


def test_the_head_is_on_demand_even_where_the_workers_are_on_spot():
    cloud = FakeCloud()
    start(cloud, spot=True)

    assert [(spec.role, spec.market) for spec in cloud.specs] == [
        (Role.HEAD, Market.ON_DEMAND),
        (Role.WORKER, Market.SPOT),
    ]


def test_a_quota_is_the_regions_and_no_other_zone_is_tried():
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("too many"), nth=2)])

    with pytest.raises(QuotaError, match="too many"):
        start(cloud)

    assert len(cloud.specs) == 1
    assert cloud.left == []


def test_a_quota_of_one_family_leaves_the_types_of_others_and_asks_for_none_of_its_own():
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


def test_the_quotas_of_all_types_end_the_launch():
    faults = [Fault("run_instances", QuotaError(text), nth=nth) for nth, text in ((2, "one"), (3, "two"))]
    cloud = FakeCloud(faults=faults)

    with pytest.raises(
        QuotaError, match=r"two; 2 g5.2xlarge in us-east-1a are 16 vCPUs of the quota L-DB2E81BA"
    ):
        start(cloud, type=(BIG, GPU, OLD))

    assert cloud.calls.count("run_instances") == 3
    assert cloud.left == []


def test_a_quota_of_spot_instances_falls_back_at_once_and_the_head_stays():
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


def test_a_quota_of_spot_instances_ends_a_launch_that_has_nothing_to_fall_back_on():
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("Max spot"), nth=2)])

    with pytest.raises(QuotaError):
        start(cloud, spot=True)

    assert cloud.left == []


def test_a_quota_that_the_head_meets_ends_the_launch_though_workers_could_fall_back():
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("vCPUs"))])

    with pytest.raises(QuotaError):
        start(cloud, spot_with_fallback=True)

    assert cloud.left == []


def test_what_there_is_of_workers_is_taken_if_it_is_enough_and_said():
    cloud, events = FakeCloud(room={(BIG, A): 3}), []

    cluster = start(cloud, events=events, count=9, nprocs=2, min_workers=5)

    assert (cloud.specs[1].least, cloud.specs[1].count) == (3, 8)
    assert len(cluster.workers) == 3
    assert "AWS had room for 3 of 8 worker nodes, which --min-workers takes for enough." in notes(events)


def test_too_few_workers_are_not_taken():
    cloud = FakeCloud(room={(BIG, A): 2, (BIG, B): 2})

    with pytest.raises(CapacityError) as caught:
        start(cloud, count=9, nprocs=2, min_workers=5)

    assert "--min-workers" not in caught.value.hint
    assert cloud.left == []


def test_a_worker_that_ends_is_done_without_if_enough_are_left():
    cloud, events = FakeCloud(dying={"i-2": "Server.SpotInstanceTermination"}), []

    cluster = start(cloud, events=events, count=4, nprocs=2, min_workers=4)

    assert [node.index for node in cluster.nodes] == [0, 1, 3]
    assert any("Server.SpotInstanceTermination" in note for note in notes(events))


def test_a_worker_that_ends_ends_the_launch_if_too_few_are_left():
    cloud = FakeCloud(dying={"i-2": "Client.UserInitiatedShutdown"})

    with pytest.raises(NotReadyError, match=r"Client\.UserInitiatedShutdown"):
        start(cloud, count=4, nprocs=2, min_workers=5)

    assert cloud.left == []


def test_what_ec2_itself_ends_is_tried_once_more_elsewhere():
    cloud, events = FakeCloud(dying={"i-2": "Server.InternalError: internal error"}), []

    cluster = start(cloud, events=events)

    assert [request[2] for request in requests(cloud)] == ["a", "a", "b", "b"]
    assert {node.zone for node in cluster.nodes} == {B}
    assert sorted(node.state for node in cloud.instances) == [*3 * ["running"], *3 * ["terminated"]]
    assert notes(events) == [
        "Node 2 (i-2) ended while the cluster was launched: Server.InternalError: internal error;"
        " all nodes are started once more, elsewhere."
    ]


def test_what_ec2_itself_ends_a_second_time_ends_the_launch():
    cloud = FakeCloud(dying=dict.fromkeys(("i-0", "i-4"), "Server.InternalError"))

    with pytest.raises(NotReadyError, match=r"node 1 \(i-4\).*Server\.InternalError"):
        start(cloud, subnets=(*SUBNETS, Subnet("subnet-3", "vpc-1", "us-east-1c", 4091)))

    assert [request[2] for request in requests(cloud)] == ["a", "a", "b", "b"]
    assert cloud.left == []


def test_what_ec2_itself_ends_in_the_only_place_ends_the_launch():
    cloud = FakeCloud(dying={"i-2": "Server.InternalError"})

    with pytest.raises(NotReadyError, match=r"Server\.InternalError"):
        start(cloud, zone=(A,))

    assert len(cloud.specs) == 2
    assert cloud.left == []


def test_spot_workers_that_ec2_takes_at_once_fall_back_where_they_may():
    cloud = FakeCloud(dying={"i-1": "Server.SpotInstanceTermination"})

    cluster = start(cloud, zone=(A,), spot_with_fallback=True)

    assert requests(cloud)[2:] == [("head", BIG, "a", "on-demand"), ("worker", BIG, "a", "on-demand")]
    assert [node.state for node in cluster.nodes] == 3 * ["running"]


def test_workers_that_are_late_are_done_without_if_enough_have_come_and_are_named():
    cloud, events = FakeCloud(), []
    connection = FakeHeadConnection(cloud, limit=5)

    cluster = start(cloud, connection, events=events, count=4, nprocs=2, min_workers=4)

    assert len(cluster.workers) == 3
    assert notes(events) == ["The workers of node 3 have not registered; the node is there, and costs."]


def test_workers_that_are_late_end_the_launch_if_too_few_have_come():
    cloud = FakeCloud()

    with pytest.raises(NotReadyError, match="3 of 6 workers registered"):
        start(cloud, FakeHeadConnection(cloud, limit=3), count=4, nprocs=2, min_workers=4)

    assert cloud.left == []


def test_where_only_a_type_is_left_whose_quota_is_too_small_that_is_said():
    """EC2 ends a node, and the next zone has the one type alone for which the account's quota is used up."""
    cloud, clock = FakeCloud(faults=[Fault("run_instances", QuotaError("too small"), nth=2)]), FakeClock()
    cloud.dying = {"i-0": "Server.InternalError: no"}
    plan = a_plan(type=(BIG, GPU), head_type=(SMALL,))
    offered = frozenset({(BIG, A), (GPU, A), (SMALL, A), (BIG, B), (SMALL, B)})
    plan = replace(plan, target=replace(plan.target, offerings=offered))

    with pytest.raises(QuotaError, match=r"too small; 2 m6i.2xlarge in us-east-1a are 16 vCPUs"):
        launch(plan, cloud, FakeHeadConnection(cloud), notify=[].append, clock=clock, sleep=clock.sleep)

    assert cloud.left == []
