"""The resource check finds every kind of mismatch."""

import pytest

from resource_check import Resource, check

OLD = Resource("instance", "i-00000000000000001", cluster="old")
HEAD = Resource("instance", "i-0123456789abcdef0", cluster="taxi")
DISK = Resource("volume", "vol-0123456789abcdef0", cluster="taxi", at=HEAD.id)
GROUP = Resource("security group", "sg-0123456789abcdef0", "dask-bake-taxi", "taxi")
KEY = Resource("key pair", "key-0123456789abcdef0", "dask-bake-taxi", "taxi")
BEFORE = frozenset({OLD})
LEFT = f"something may be left that costs money: instance {HEAD.id} (running); security group x ({GROUP.id})"
UNWRITTEN = "x.yaml could not be written: no; the cluster taxi is running and costs money"


def holds(*more: Resource, **claimed) -> bool:
    try:
        check(BEFORE, BEFORE | {*more}, **claimed)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("code", [1, 2, 130])
@pytest.mark.parametrize("thing", [HEAD, DISK, GROUP, KEY])
def test_a_failed_command_leaves_nothing(code, thing):
    assert holds(code=code)
    assert not holds(thing, code=code)


def test_a_launch_starts_the_requested_number_of_instances_of_one_cluster():
    assert holds(HEAD, DISK, GROUP, code=0, nodes=1)
    assert not holds(HEAD, GROUP, code=0, nodes=2)
    assert not holds(GROUP, code=0)
    assert not holds(HEAD, Resource("volume", "vol-1", cluster="other"), code=0, nodes=1)
    assert holds(HEAD, code=0, nodes=None)
    assert not holds(code=0, nodes=None)


def test_each_leftover_is_named_and_exists():
    assert holds(HEAD, DISK, GROUP, code=3, message=LEFT)
    assert not holds(HEAD, DISK, GROUP, KEY, code=3, message=LEFT)
    assert holds(HEAD, DISK, GROUP, KEY, code=3, message=f"{LEFT}; key pair dask-bake-taxi")
    assert not holds(HEAD, code=3, message=LEFT)
    assert not holds(code=3, message="something went wrong")


def test_a_cluster_reported_as_up_may_be_left():
    assert holds(HEAD, DISK, GROUP, code=3, message=UNWRITTEN)
    assert not holds(HEAD, Resource("instance", "i-2", cluster="other"), code=3, message=UNWRITTEN)


def test_a_traceback_s_exit_code_fails_the_check():
    assert not holds(code=101)
