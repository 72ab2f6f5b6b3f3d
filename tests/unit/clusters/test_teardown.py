"""A teardown goes on until EC2 has listed nothing twice, or names what is left."""

from dataclasses import replace

import pytest

from dask_bake.clusters.inventory import find
from dask_bake.clusters.teardown import LONGEST, TaggedResources, Teardown
from dask_bake.errors import BakeError, LeftoverError, OutcomeUnknownError, TransientError
from dask_bake.events import Note
from dask_bake.models.tags import Tag
from fakes import CLOUD, FakeClock, FakeCloud, Fault, a_plan, head_of, workers_of

TAGS = {Tag.CLUSTER: "dask"}


class Protecting(FakeCloud):
    """An EC2 that refuses to terminate the protected instances."""

    protected: tuple[str, ...] = ()

    def terminate(self, instance_ids):
        super().terminate([each for each in instance_ids if each not in self.protected])
        if set(instance_ids) & set(self.protected):
            raise BakeError("TerminateInstances failed: it is protected (OperationNotPermitted)")


def filled(cloud):
    """Return the cloud with a cluster of three nodes, its security group and its key pair."""
    plan = a_plan()
    cloud.create_security_group(plan.group_name, vpc_id="vpc-1", tags=plan.group_tags)
    cloud.run_instances(head_of(plan))
    cloud.run_instances(workers_of(plan))
    cloud.import_key_pair("dask-bake-dask", public_key="x", tags=plan.group_tags)
    cloud.calls.clear()
    return cloud


def remove(cloud, **options):
    clock, events = FakeClock(), []
    settle = options.pop("settle", 0.0)
    resources = TaggedResources(cloud, "dask", TAGS, **options)
    Teardown(resources, events.append, clock, clock.sleep, settle=settle).run()
    return clock.now - 100, [event.text for event in events if isinstance(event, Note)]


def test_each_instance_is_terminated_once_and_two_queries_must_find_nothing():
    cloud = filled(FakeCloud())

    assert remove(cloud)[1] == []
    assert cloud.left == []
    assert (cloud.calls.count("terminate"), cloud.calls.count("delete_security_group")) == (1, 1)
    assert cloud.calls[-3:] == [
        "nodes",
        "key_pairs",
        "groups",
    ]


@pytest.mark.parametrize("operation", ["nodes", "terminate", "groups", "delete_security_group", "key_pairs"])
@pytest.mark.parametrize("after", [False, True])
def test_transient_errors_during_teardown_are_retried(operation, after):
    errors = (TransientError("AWS is throttling"), OutcomeUnknownError("EC2 could not be reached"))
    cloud = filled(FakeCloud())
    cloud.faults = [Fault(operation, error, nth=n, after=after) for n, error in enumerate(errors, 1)]

    remove(cloud)

    assert cloud.left == []


def test_each_reason_for_a_long_wait_is_noted_once():
    cloud = filled(FakeCloud())
    cloud.faults = [
        Fault("nodes", OutcomeUnknownError("EC2 could not be reached"), nth=n) for n in range(1, 60)
    ]

    assert remove(cloud)[1] == [
        "Waiting for EC2: EC2 could not be reached.",
        "Waiting for instances i-0, i-1, i-2 to end.",
    ]
    assert cloud.left == []


def test_if_ec2_does_not_respond_for_five_minutes_the_known_instances_are_named():
    cloud = filled(FakeCloud())
    cloud.faults = [Fault("nodes", OutcomeUnknownError("no network"), nth=n) for n in range(1, 1000)]

    with pytest.raises(LeftoverError, match=r"instance i-0; instance i-1.*waited 300 s for EC2: no network"):
        remove(cloud, known=("i-0", "i-1"))


def test_known_instances_are_terminated_even_where_they_cannot_be_listed():
    cloud = filled(FakeCloud())
    cloud.faults = [Fault("nodes", BakeError("you may not list instances"), nth=n) for n in (1, 2)]

    with pytest.raises(LeftoverError, match=r"instance i-0; instance i-1; .*you may not list") as caught:
        remove(cloud, known=("i-0", "i-1"))

    assert [node.state for node in cloud.instances] == ["shutting-down", "shutting-down", "pending"]
    assert f"whatever is tagged {Tag.CLUSTER}=dask" in caught.value.message


def test_a_known_instance_that_ec2_does_not_list_is_named():
    cloud = filled(Protecting())
    cloud.protected = ("i-1",)

    with pytest.raises(LeftoverError, match=r"i-1 \(running\); instance i-7; .*OperationNotPermitted"):
        remove(cloud, known=("i-1", "i-7"))


def test_until_ec2_lists_everything_a_report_includes_whatever_may_be_there():
    """A second Ctrl-C while RunInstances is on its way: its instances have no known ids."""
    cloud = filled(FakeCloud(faults=[Fault("terminate", KeyboardInterrupt())]))

    with pytest.raises(LeftoverError) as caught:
        remove(cloud, known=("i-0",), settle=10.0)

    assert f"; whatever is tagged {Tag.CLUSTER}=dask. The reason: interrupted" in caught.value.message
    cloud.faults = [Fault("terminate", KeyboardInterrupt(), nth=2)]
    with pytest.raises(LeftoverError) as caught:
        remove(cloud, known=("i-0",))
    assert "whatever" not in caught.value.message


def test_a_protected_instance_is_named_and_the_rest_is_removed():
    cloud = filled(Protecting())
    cloud.protected = ("i-1",)

    with pytest.raises(LeftoverError, match=r"instance i-1 \(running\).*OperationNotPermitted") as caught:
        remove(cloud)

    assert [node.state for node in cloud.instances] == ["terminated", "running", "terminated"]
    assert "i-0" not in caught.value.message
    assert cloud.calls.count("terminate") == 1


def test_a_security_group_that_a_foreign_interface_uses_is_named_with_the_interface():
    cloud = filled(FakeCloud(strangers={"sg-0": ("eni-7", "eni-8")}))

    with pytest.raises(LeftoverError, match=r"dask-bake-dask \(sg-0\), used by eni-7, eni-8.*waited 300 s"):
        remove(cloud)

    assert cloud.left == ["sg-0"]
    cloud.strangers = {}
    remove(cloud)
    assert cloud.left == []


def test_an_instance_that_appears_during_teardown_is_terminated_too():
    """This happens if a cluster is taken down during its launch."""
    cloud = filled(FakeCloud())

    class Late:
        def __getattr__(self, name):
            return getattr(cloud, name)

        def delete_security_group(self, group_id):
            if len(cloud.instances) == 3:
                node = cloud.instances[0]
                cloud.instances.append(replace(node, id="i-9", state="pending"))
            return cloud.delete_security_group(group_id)

    remove(Late())

    assert cloud.left == []
    assert cloud.instances[-1].state == "terminated"


def test_if_the_key_pair_cannot_be_deleted_the_security_group_stays_so_that_down_finds_it():
    cloud = filled(FakeCloud())
    cloud.faults = [Fault("delete_key_pair", BakeError("you may not"))]

    with pytest.raises(LeftoverError, match="key pair dask-bake-dask"):
        remove(cloud)

    assert find(cloud, CLOUD, "dask").groups
    remove(cloud)
    assert cloud.left == []


def test_teardown_waits_for_resources_of_unfinished_requests():
    cloud = FakeCloud()

    assert remove(cloud)[0] == 0.5
    assert remove(cloud, settle=10.0)[0] >= 10


def test_a_known_instance_that_ec2_does_not_list_is_terminated_when_it_appears_within_a_minute():
    cloud = filled(FakeCloud())
    cloud.delay = 20

    class Unknowing:
        """An EC2 that treats an instance it does not list yet as missing."""

        def __getattr__(self, name):
            return getattr(cloud, name)

        def terminate(self, instance_ids):
            cloud.terminate([] if cloud.delay else instance_ids)

    remove(Unknowing(), known=("i-0", "i-1", "i-2"))
    assert cloud.left == []

    seconds, _ = remove(FakeCloud(), known=("i-7",))
    assert 60 <= seconds <= 60 + 2 * LONGEST
