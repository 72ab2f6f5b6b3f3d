"""Owner of the resources that a command makes: the caller of AWS, else the user of this machine."""

from dask_bake.ec2.protocols import ClusterQueries
from dask_bake.models.owner import Owner, owner_of
from dask_bake.system.user import user_at_host


def current_owner(edge: ClusterQueries) -> Owner:
    """Return the owner of what this command makes."""
    return owner_of(edge.caller_arn(), user_at_host())
