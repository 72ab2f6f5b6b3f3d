"""The example beside EC2Cluster's own: what has to be changed, and that the keywords are BakeCluster's."""

import ast
from pathlib import Path

from dask_bake.client.options import cluster_options

EXAMPLE = Path(__file__).parents[3] / "examples" / "from_ec2cluster.py"
TREE = ast.parse(EXAMPLE.read_text())


def arguments(tree: ast.AST, name: str) -> dict[str, object]:
    """Return the keyword arguments of the only call of that class."""
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    )
    assert call.args == []
    return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}


OURS = arguments(TREE, "BakeCluster")


def test_the_class_s_name_and_at_most_three_arguments_differ() -> None:
    there = next(line for line in str(ast.get_docstring(TREE)).splitlines() if "EC2Cluster(" in line)
    theirs = arguments(ast.parse(there.strip()), "EC2Cluster")

    assert list(OURS.values()) == list(theirs.values())
    assert len(OURS.keys() - theirs.keys()) <= 3


def test_its_arguments_are_options_of_a_launch() -> None:
    keywords = {name: value for name, value in OURS.items() if name != "n_workers"}
    options = cluster_options(keywords, 2)

    assert (options.type, options.count, options.volume_size) == (("t3.large",), 3, 40)
