"""The lease of a bake."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from baking import BASE, NOW, Bench, other_bake
from dask_bake.bake.lease import LEASE_EXPIRY, BakeLease
from dask_bake.clusters.naming import group_name, moment
from dask_bake.errors import BakeError
from dask_bake.models.ec2 import Image
from dask_bake.models.owner import Owner
from dask_bake.models.tags import Tag
from fakes import SUBNETS, FakeClock, FakeCloud, a_plan, head_of, hint_of


def test_a_lease_has_the_time_it_was_taken_not_the_start_of_the_bake():
    """With the start of the bake it would look expired before the instance exists."""
    clock, cloud = FakeClock(), FakeCloud()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 150:
            cloud.security_groups.clear()

    def now() -> datetime:
        return NOW + timedelta(seconds=clock.now)

    lease = BakeLease(cloud, 64 * "0", "bake1", Owner("anna"), 600, lambda _: None, clock, sleep, now)
    cloud.create_security_group(group_name(lease.name), vpc_id="vpc-1", tags=((Tag.LAUNCH, "other"),))

    with lease.held(SUBNETS[0], ("192.0.2.7/32",)) as group:
        made = now()
        assert dict(group.tags)[Tag.CREATED] == moment(made)
    assert made > NOW + timedelta(seconds=150)


def test_a_second_bake_of_the_same_image_waits_for_the_first_and_uses_its_image(bench: Bench) -> None:
    group = other_bake(bench)
    made = Image("ami-other", "dask-bake-x", "available", NOW)

    def sleep(seconds: float) -> None:
        bench.clock.now += seconds
        if bench.clock.now > 130:
            digest = bench.packer.variables[0]["image_tags"]["dask-bake:digest"]  # type: ignore[index]
            tags = ((Tag.DIGEST, digest), (Tag.VERIFIED, "yes"))
            bench.cloud.listed = [replace(made, tags=tags), BASE]
            bench.cloud.delete_security_group(group.id)

    result = bench.bake(sleep=sleep)
    assert (result.image.id, result.built) == ("ami-other", False)
    assert bench.notes == ["Another bake of this image is running: waiting for it to end."]
    assert len(bench.packer.variables) == 1
    bench.assert_nothing_left()


def test_an_abandoned_lease_is_taken_over_when_it_expires(bench: Bench) -> None:
    other_bake(bench)
    began = bench.clock.now
    assert bench.bake().built
    assert LEASE_EXPIRY <= bench.clock.now - began < LEASE_EXPIRY + 10
    assert bench.notes[1] == "The other bake has stopped: this one takes over."
    bench.assert_nothing_left()


def test_a_lease_that_another_bake_took_over_is_waited_for_from_its_start(bench: Bench) -> None:
    """A third bake waited as long and took the lease; its lease has not expired."""
    first = other_bake(bench)
    began = bench.clock.now

    def sleep(seconds: float) -> None:
        bench.clock.now += seconds
        if first in bench.cloud.security_groups and bench.clock.now - began > LEASE_EXPIRY - 10:
            bench.cloud.security_groups = [replace(first, id="sg-theirs")]

    result = bench.bake(sleep=sleep)
    assert result.built
    assert bench.clock.now - began > 2 * LEASE_EXPIRY - 20


def test_a_waiting_bake_does_not_terminate_the_verification_cluster_of_another_bake(bench: Bench) -> None:
    group = other_bake(bench)
    verification = ((Tag.CLUSTER, f"{dict(group.tags)[Tag.CLUSTER]}-proof"), (Tag.LAUNCH, "proof"))
    bench.cloud.run_instances(replace(head_of(a_plan(), group.id), tags=verification))
    with pytest.raises(BakeError, match="has been running for"):
        bench.bake(timeout=60)
    assert [node.is_live for node in bench.cloud.instances] == [True]


def test_a_bake_waits_for_another_bake_until_its_timeout(bench: Bench) -> None:
    group = other_bake(bench)
    spec = head_of(a_plan(), group.id)
    bench.cloud.run_instances(replace(spec, tags=group.tags))
    began = bench.clock.now
    with pytest.raises(BakeError) as caught:
        bench.bake(timeout=600)
    assert caught.value.message == "another bake of this image has been running for 600 s"
    assert (
        hint_of(caught.value)
        == f"if it was killed, dask-bake down {dict(group.tags)[Tag.CLUSTER]} removes its resources"
    )
    assert bench.clock.now - began >= 600
    assert [each.id for each in bench.cloud.security_groups] == [group.id]
