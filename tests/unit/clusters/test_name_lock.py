"""Two launches of one name in two VPCs: one keeps the name, and the other withdraws."""

import pytest

from dask_bake.clusters.name_lock import WITHDRAWAL, NameLock
from dask_bake.errors import BakeError
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.owner import Owner
from dask_bake.models.tags import Tag
from fakes import FakeClock, FakeCloud

NAME = "dask-bake-dask"


def group(number: int, vpc: str, owner: str = "anna") -> SecurityGroup:
    tags = ((Tag.MANAGED, "true"), (Tag.CLUSTER, "dask"), (Tag.OWNER, owner))
    return SecurityGroup(f"sg-{number}", NAME, vpc, tags)


def keep(cloud: FakeCloud, *, clock: FakeClock | None = None, sleep=None, ended=()) -> None:
    clock = clock or FakeClock()
    lock = NameLock(cloud, "dask", group(5, "vpc-5"), Owner("anna"), ended)
    lock.keep(lock.rivals(), clock=clock, sleep=sleep or clock.sleep)


@pytest.mark.parametrize(
    "there",
    [
        [],
        [group(5, "vpc-5")],
        [SecurityGroup("sg-1", "dask-bake-dask/ssh", "vpc-1", group(1, "vpc-1").tags)],
        [SecurityGroup("sg-1", NAME, "vpc-1")],
    ],
)
def test_without_a_group_of_the_name_in_another_vpc_nothing_is_waited_for(there):
    clock = FakeClock()
    keep(FakeCloud(security_groups=there), clock=clock)

    assert clock.now == FakeClock().now


def test_the_group_of_the_ended_cluster_is_no_rival():
    ended = group(1, "vpc-1")

    keep(FakeCloud(security_groups=[ended]), ended=(ended,))


def test_a_rival_whose_group_has_the_lower_id_keeps_the_name():
    clock = FakeClock()
    with pytest.raises(BakeError, match="already exists, or is being launched; it belongs to bob"):
        keep(FakeCloud(security_groups=[group(7, "vpc-7", "bob"), group(1, "vpc-1", "bob")]), clock=clock)

    assert clock.now == FakeClock().now


def test_a_rival_with_a_higher_id_is_waited_for_until_it_withdraws():
    clock, cloud = FakeClock(), FakeCloud(security_groups=[group(7, "vpc-7")])

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 103:
            cloud.security_groups.clear()

    keep(cloud, clock=clock, sleep=sleep)
    assert 103 < clock.now < 104


def test_a_rival_that_does_not_withdraw_has_looked_before_and_keeps_the_name():
    clock = FakeClock()
    with pytest.raises(BakeError, match="already exists"):
        keep(FakeCloud(security_groups=[group(7, "vpc-7")]), clock=clock)

    assert clock.now - FakeClock().now == pytest.approx(WITHDRAWAL, abs=1)
