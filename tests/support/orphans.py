"""Tagged resources of a region that may be orphaned."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dask_bake.models.cloud import Role
from dask_bake.models.resources import Resource, ResourceKind
from dask_bake.models.tags import Tag

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=3)
IDS = {
    ResourceKind.INSTANCE: "i-0",
    ResourceKind.VOLUME: "vol-0",
    ResourceKind.INTERFACE: "eni-0",
    ResourceKind.GROUP: "sg-0",
    ResourceKind.KEY_PAIR: "key-0",
}


def resource(
    kind: ResourceKind, state: str = "", *, cluster="taxi", role=Role.WORKER, launch="", **changes
) -> Resource:
    """Return a resource of a cluster's launch that is three hours old, changed as given."""
    own = ((Tag.MANAGED, "true"), (Tag.CLUSTER, cluster), (Tag.LAUNCH, launch or f"of-{cluster}"))
    usual = {
        ResourceKind.INSTANCE: "running",
        ResourceKind.VOLUME: "available",
        ResourceKind.INTERFACE: "available",
    }
    made = Resource(
        kind, IDS[kind], (*own, (Tag.ROLE, str(role))), state=state or usual.get(kind, ""), created=OLD
    )
    return replace(made, **changes)
