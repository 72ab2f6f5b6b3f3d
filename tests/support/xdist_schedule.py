"""Schedule of the integration tests for pytest-xdist: tests that share a cluster run in one process.

A free process takes the next group; the groups that take longest come first.
"""

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

SHARING = (
    "test_cluster",
    "test_access",
    "test_bastion",
    "test_forwarding",
    "test_image_checks",
    "test_isolation",
    "test_security_groups",
    "test_taxi",
)
"""Modules that share one cluster; each leaves it unchanged."""
LONGEST_FIRST = (
    "test_other_debian",
    "test_bake_faults",
    "test_ways_in",
    "test_survival",
    "test_cluster",
    "test_survival_processes",
    "test_auto_shutdown",
    "test_conda",
    "test_failures",
)
TOGETHER = (SHARING, ("test_conda", "test_conda_channel"))
"""Groups of modules that share a cluster, or the conda channel that is cached between runs."""


def group(module: str) -> str:
    """Return the name of a module's group, which one process runs."""
    return next((modules[0] for modules in TOGETHER if module in modules), module)


def rank(module: str) -> tuple[int, str]:
    """Return the sort key of a module: by group, the longest first."""
    name = group(module)
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST), name


class CloudsScheduling(LoadScopeScheduling):
    """Hand out whole groups, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return group(Path(nodeid.partition("::")[0]).stem)
