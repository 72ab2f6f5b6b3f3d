"""The DescribeInstances operation, with filters and pagination."""

from itertools import groupby
from typing import Any, TypeAlias

from werkzeug.wrappers import Response

from dask_bake.local.ec2.instance_xml import reservation
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.models import has_instance_filter, passes_filter_dict
from dask_bake.local.query_protocol import Refusal, Request, filters_of, items

DEFAULT_PAGE_SIZE = 1000

Found: TypeAlias = tuple[tuple[Any, Any], ...]
"""Pairs of a reservation and an instance."""


def describe_instances(request: Request, ec2: MotoEc2, hidden: frozenset[str]) -> Response:
    """Return the response to DescribeInstances, without hidden instances."""
    request.end_dry_run()
    ids = request.ids("InstanceId")
    if ids and "MaxResults" in request.parameters:
        raise Refusal(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        )
    found = _found(request, ec2, hidden)
    _refuse_unknown(ids, frozenset(instance.id for _, instance in found))
    wanted = dict(filters_of(request).wanted)
    for name in wanted:
        if not has_instance_filter(name):
            raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
    return _answer(
        request,
        tuple(
            pair for pair in found if (not ids or pair[1].id in ids) and passes_filter_dict(pair[1], wanted)
        ),
    )


def _found(request: Request, ec2: MotoEc2, hidden: frozenset[str]) -> Found:
    return tuple(
        (found, instance)
        for found in tuple(ec2.region(request.region).reservations.values())
        for instance in tuple(found.instances)
        if instance.id not in hidden
    )


def _refuse_unknown(ids: tuple[str, ...], known: frozenset[str]) -> None:
    unknown = [instance_id for instance_id in ids if instance_id not in known]
    if unknown:
        plural = len(unknown) > 1
        raise Refusal(
            "InvalidInstanceID.NotFound",
            f"The instance ID{'s' * plural} '{', '.join(unknown)}' do{'es' * (not plural)} not exist",
        )


def _answer(request: Request, matching: Found) -> Response:
    begin = _begin(request.parameters.get("NextToken"), matching)
    page = matching[begin : begin + int(request.parameters.get("MaxResults", DEFAULT_PAGE_SIZE))]
    reservations = "".join(
        f"<item>{reservation(pairs[0][0], [instance for _, instance in pairs])}</item>"
        for _, group in groupby(page, key=lambda pair: str(pair[0].id))
        for pairs in [list(group)]
    )
    there_are_more = page and page[-1] is not matching[-1]
    token = items({"nextToken": page[-1][1].id}) if there_are_more else ""
    return request.answer(f"<reservationSet>{reservations}</reservationSet>{token}")


def _begin(token: str | None, matching: Found) -> int:
    """Return the index of the page's first instance, which follows the last one of the previous page."""
    if not token:
        return 0
    ids = [instance.id for _, instance in matching]
    if token not in ids:
        raise Refusal("InvalidParameterValue", "Unable to parse pagination token")
    return ids.index(token) + 1
