"""Addresses of the bridge: each is given to one instance, and EC2's reserved ones to none."""

from ipaddress import IPv4Network

from dask_bake.local.network.addresses import Addresses

SMALL = IPv4Network("10.0.0.0/29")
"""A block of eight addresses, of which EC2 reserves the first four and the last."""


def test_reserved_addresses_are_not_given_and_a_full_block_has_none():
    addresses = Addresses()

    assert addresses.free(SMALL) == 3
    assert [addresses.take(SMALL) for _ in range(4)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6", None]
    assert addresses.free(SMALL) == 0


def test_a_released_address_is_given_again():
    addresses = Addresses()
    taken = [addresses.take(SMALL) for _ in range(3)]
    addresses.release(taken[1])

    assert (addresses.free(SMALL), addresses.take(SMALL), addresses.take(SMALL)) == (1, taken[1], None)


def test_an_address_that_a_request_chose_is_not_given_to_another_instance():
    addresses = Addresses()
    addresses.claim("10.0.0.4")

    assert (addresses.free(SMALL), addresses.take(SMALL)) == (2, "10.0.0.5")


def test_overlapping_blocks_share_their_addresses():
    addresses = Addresses()
    large = IPv4Network("10.0.0.0/28")
    addresses.take(large)

    assert (addresses.take(SMALL), addresses.take(large), addresses.free(SMALL)) == (
        "10.0.0.5",
        "10.0.0.6",
        0,
    )
