"""The invariant is no rubber stamp: each way to break it is seen."""

import pytest

from invariant import Thing, check

OLD = Thing("instance", "i-00000000000000001", cluster="old")
HEAD = Thing("instance", "i-0123456789abcdef0", cluster="taxi")
DISK = Thing("volume", "vol-0123456789abcdef0", cluster="taxi", at=HEAD.id)
GROUP = Thing("security group", "sg-0123456789abcdef0", "dask-bake-taxi", "taxi")
KEY = Thing("key pair", "key-0123456789abcdef0", "dask-bake-taxi", "taxi")
BEFORE = frozenset({OLD})
LEFT = f"something may be left that costs money: instance {HEAD.id} (running); security group x ({GROUP.id})"
UNWRITTEN = "x.yaml could not be written: no; the cluster taxi is up, and costs"


def holds(*more: Thing, **claimed) -> bool:
    try:
        check(BEFORE, BEFORE | {*more}, **claimed)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("code", [1, 2, 130])
@pytest.mark.parametrize("thing", [HEAD, DISK, GROUP, KEY])
def test_a_command_that_failed_left_nothing(code, thing):
    assert holds(code=code)
    assert not holds(thing, code=code)


def test_a_launch_started_as_many_as_it_was_asked_for_of_one_cluster():
    assert holds(HEAD, DISK, GROUP, code=0, nodes=1)
    assert not holds(HEAD, GROUP, code=0, nodes=2)
    assert not holds(GROUP, code=0)
    assert not holds(HEAD, Thing("volume", "vol-1", cluster="other"), code=0, nodes=1)
    assert holds(HEAD, code=0, nodes=None)
    assert not holds(code=0, nodes=None)


def test_what_is_left_is_named_piece_by_piece_and_is_there():
    assert holds(HEAD, DISK, GROUP, code=3, message=LEFT)
    assert not holds(HEAD, DISK, GROUP, KEY, code=3, message=LEFT)
    assert holds(HEAD, DISK, GROUP, KEY, code=3, message=f"{LEFT}; key pair dask-bake-taxi")
    assert not holds(HEAD, code=3, message=LEFT)
    assert not holds(code=3, message="something went wrong")


def test_a_cluster_that_is_said_to_be_up_may_be_left():
    assert holds(HEAD, DISK, GROUP, code=3, message=UNWRITTEN)
    assert not holds(HEAD, Thing("instance", "i-2", cluster="other"), code=3, message=UNWRITTEN)


def test_a_traceback_s_exit_code_says_nothing():
    assert not holds(code=101)
