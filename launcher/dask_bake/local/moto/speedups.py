"""Replacements for two slow functions of moto, which every request calls."""

from functools import cache
from importlib import import_module
from typing import Any

from dask_bake.local.moto.models import EC2_PREFIX_TO_RESOURCE, get_prefix


def cache_method_names() -> None:
    """Let moto list the methods of a service once, and not for each request."""
    responses: Any = import_module("moto.core.responses")
    if not hasattr(responses.method_names_from_class, "cache_info"):
        responses.method_names_from_class = cache(responses.method_names_from_class)


def index_tags(backend: Any) -> None:
    """Let moto look up one resource's tags by its id, as it does for every instance that it describes."""
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
