"""What names users within a layer's extended attributes names those of the range of instances."""

import struct

from dask_bake.local.storage.ownership import SHIFTED
from dask_bake.local.user_namespace import OFFSET

NOBODY_NAMED = 2**32 - 1
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 7, NOBODY_NAMED), (2, 5, 1000), (8, 5, 4), (32, 5, NOBODY_NAMED))
)


def test_an_acl_names_the_users_and_groups_of_the_range():
    entries = struct.iter_unpack("<HHI", SHIFTED["system.posix_acl_access"](ACL)[4:])

    assert [*entries] == [
        (1, 7, NOBODY_NAMED),
        (2, 5, OFFSET + 1000),
        (8, 5, OFFSET + 4),
        (32, 5, NOBODY_NAMED),
    ]


def test_capabilities_are_those_of_the_instances_root():
    """Revision 2 with the flag "effective" becomes revision 3, which has root's id."""
    value = struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0)

    shifted = SHIFTED["security.capability"](value)

    assert shifted == struct.pack("<IIIIII", 0x03000001, 0x2000, 0, 0, 0, OFFSET)
