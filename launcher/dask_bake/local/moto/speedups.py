"""moto's tags of one resource, found without going through those of all the others."""

from typing import Any

from dask_bake.local.moto.models import EC2_PREFIX_TO_RESOURCE, get_prefix


def find_tags_quickly(backend: Any) -> None:
    """Have moto look up one resource's tags by its id, as it does for every instance that it shows."""
    search = backend.describe_tags

    def describe_tags(filters: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
        match filters:
            case {"resource-id": [resource_id], **others} if not others and resource_id in backend.tags:
                kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource_id), "")
                return [
                    {"resource_id": resource_id, "key": key, "value": value, "resource_type": kind}
                    for key, value in tuple(backend.tags[resource_id].items())
                ]
        return list(search(filters))

    backend.describe_tags = describe_tags
