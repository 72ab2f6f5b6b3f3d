"""The network of the instances: its address block, bridge and interfaces."""

import threading
from ipaddress import IPv4Network
from uuid import uuid4

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.network.bridge import (
    CANDIDATE_BLOCKS,
    block_lock,
    cable_name,
    choose_block,
    is_own_bridge,
    mac_address,
)


def test_the_first_free_block_is_chosen():
    home = (IPv4Network("192.168.1.0/24"), IPv4Network("10.213.1.0/24"))

    assert choose_block(None, ()) == IPv4Network("10.213.0.0/20")
    assert choose_block(None, home) == IPv4Network("10.87.0.0/20")


def test_a_configured_block_is_used_if_it_is_free():
    assert choose_block(IPv4Network("10.5.0.0/20"), CANDIDATE_BLOCKS) == IPv4Network("10.5.0.0/20")


def test_a_configured_block_in_use_is_refused():
    with pytest.raises(BakeError) as caught:
        choose_block(IPv4Network("10.5.0.0/20"), [IPv4Network("10.5.4.0/24")])

    assert (caught.value.message, caught.value.hint) == (
        "the local cloud's address block is in use on this machine: 10.5.0.0/20",
        "set DASK_BAKE_LOCAL_BLOCK to a free private block, such as 10.99.0.0/20",
    )


def test_if_every_candidate_block_is_in_use_there_is_an_error():
    with pytest.raises(BakeError, match=r"in use on this machine: 10\.213\.0\.0/20, .*192\.168\.208\.0/20$"):
        choose_block(
            None, [IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16")]
        )


def test_a_hardware_address_follows_from_the_private_one():
    assert mac_address("10.213.0.4") == "02:ba:0a:d5:00:04"


def test_instance_and_machine_give_the_same_interface_name():
    names = ("i-0123456789abcdef0", "dask-bake-i-0123456789abcdef0")

    assert [cable_name(name) for name in names] == ["vb56789abcdef0"] * 2


def test_one_local_cloud_at_a_time_chooses_its_block():
    name, done = f"\0test-{uuid4()}", []

    def choose(number):
        with block_lock(name, timeout=60):
            done.append(number)

    second = threading.Thread(target=choose, args=(2,))
    with block_lock(name):
        second.start()
        second.join(0.2)
        done.append(1)
    second.join(60)

    assert done == [1, 2]


def test_another_user_who_holds_the_lock_keeps_no_local_cloud_from_starting():
    name = f"\0test-{uuid4()}"

    with block_lock(name), block_lock(name, timeout=0):
        pass


@pytest.mark.parametrize(
    ("address", "is_bridge", "is_ours"),
    [
        ("02:ba:0a:d5:00:01", True, True),
        ("02:ba:0a:d5:00:01", False, False),
        ("02:42:ac:11:00:01", True, False),
    ],
)
def test_a_bridge_of_a_local_cloud_is_recognised_by_its_hardware_address(
    tmp_path, address, is_bridge, is_ours
):
    interface = tmp_path / "docker0"
    interface.mkdir()
    (interface / "address").write_text(address + "\n")
    if is_bridge:
        (interface / "bridge").mkdir()

    assert is_own_bridge("docker0", tmp_path) is is_ours
    assert not is_own_bridge("absent", tmp_path)
