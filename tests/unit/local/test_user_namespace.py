"""User namespaces: the kernel has them, they are turned on, and the range of users is available."""

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.network.bridge import CANDIDATE_BLOCKS
from dask_bake.local.user_namespace import (
    COUNT,
    FIRST_RANGE,
    OFFSET,
    RANGES,
    first_user,
    missing_namespaces,
    overlays_mapped_layers,
    require_user_namespaces,
)

ALL_USERS = "         0          0 4294967295\n"
CONTAINER = "         0     100000      65536\n"


def make_proc(folder, *, uid_map=ALL_USERS, gid_map=ALL_USERS, most="96364\n", is_in_kernel=True):
    (folder / "self/ns").mkdir(parents=True)
    (folder / "sys/user").mkdir(parents=True)
    if is_in_kernel:
        (folder / "self/ns/user").touch()
    (folder / "self/uid_map").write_text(uid_map)
    (folder / "self/gid_map").write_text(gid_map)
    (folder / "sys/user/max_user_namespaces").write_text(most)
    return folder


def test_nothing_is_missing_on_a_usual_machine(tmp_path):
    assert missing_namespaces(make_proc(tmp_path)) is None


@pytest.mark.parametrize(
    "present",
    [f"0 100000 65536\n{OFFSET} {OFFSET} {COUNT}\n", f"0 0 {OFFSET + COUNT}\n"],
)
def test_a_container_that_maps_the_range_is_sufficient(tmp_path, present):
    assert missing_namespaces(make_proc(tmp_path, uid_map=present, gid_map=present)) is None


@pytest.mark.parametrize(
    ("proc", "what", "remedy"),
    [
        ({"is_in_kernel": False}, "user namespaces in the kernel", "CONFIG_USER_NS"),
        ({"most": "0\n"}, "turned off", "sysctl user.max_user_namespaces"),
        ({"uid_map": CONTAINER}, "users 1878917120 to 1878982655 in this container", "on the host"),
        ({"gid_map": CONTAINER}, "users 1878917120 to 1878982655 in this container", "on the host"),
        ({"uid_map": f"0 0 {OFFSET + COUNT - 1}\n"}, "in this container", "on the host"),
    ],
)
def test_what_is_missing_is_an_error_with_a_remedy(tmp_path, proc, what, remedy):
    with pytest.raises(BakeError) as caught:
        require_user_namespaces(make_proc(tmp_path, **proc))

    assert what in caught.value.message
    assert remedy in caught.value.hint


def test_instances_of_all_local_clouds_have_users_of_their_own():
    blocks = [list(block)[:256] for block in CANDIDATE_BLOCKS]
    firsts = [first_user(str(address)) for block in blocks for address in block]

    assert len(set(firsts)) == len(firsts)
    assert all((first - FIRST_RANGE) % COUNT == 0 for first in firsts)


def test_ranges_of_instances_are_above_those_of_users_and_below_that_of_the_layers():
    last = FIRST_RANGE + RANGES * COUNT - 1

    assert FIRST_RANGE > 600_100_000  # SUB_UID_MAX of login.defs(5)
    assert last < OFFSET


@pytest.mark.parametrize(
    ("release", "has"),
    [("6.1.0-31-amd64", True), ("5.19.0", True), ("5.18.19", False), ("5.9", False), ("custom", False)],
)
def test_overlayfs_has_layers_with_mapped_owners_since_linux_5_19(release, has):
    assert overlays_mapped_layers(release) is has
