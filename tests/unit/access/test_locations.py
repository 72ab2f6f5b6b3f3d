"""What ``dask-bake cp`` copies, and where to."""

import pytest

from dask_bake.access.locations import Copy, parse_copy
from dask_bake.errors import UsageError


@pytest.mark.parametrize(
    ("words", "copy"),
    [
        (("a", "b/", "taxi:data"), Copy(("a", "b"), "data", True, "taxi", None)),
        (("a", "taxi/3:"), Copy(("a",), ".", True, "taxi", 3)),
        (("a", ":x"), Copy(("a",), "x", True, None, None)),
        (("a", "3:x"), Copy(("a",), "x", True, None, 3)),
        (("a", "taxi:~/x y"), Copy(("a",), "x y", True, "taxi", None)),
        (("taxi:*.log", "."), Copy(("*.log",), ".", False, "taxi", None)),
        (("taxi/2:a", "taxi/2:b", "here/"), Copy(("a", "b"), "here/", False, "taxi", 2)),
        (("./a:b", "taxi:/"), Copy(("./a:b",), "/", True, "taxi", None)),
    ],
)
def test_one_side_is_on_a_node(words, copy):
    assert parse_copy(words) == copy


def test_the_node_may_be_given_by_option():
    assert parse_copy(("a", "taxi:b"), 4) == Copy(("a",), "b", True, "taxi", 4)
    with pytest.raises(UsageError, match="on one node"):
        parse_copy(("a", "taxi/3:b"), 4)


@pytest.mark.parametrize(
    "words",
    [
        ("a",),
        ("a", "b"),
        ("taxi:a", "taxi:b"),
        ("a", "taxi:b", "c"),
        ("taxi:a", "b", "taxi:c"),
        ("taxi:a", "other:b", "."),
        ("taxi/1:a", "taxi/2:b", "."),
        ("", "taxi:b"),
        ("a\nb", "taxi:"),
    ],
)
def test_what_cannot_be_copied_is_wrong_use(words):
    with pytest.raises(UsageError):
        parse_copy(words)
