"""Compare the resources that exist after a command with its exit code and message, using boto3 only."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dask_bake.errors import BakeError
from dask_bake.models.tags import Tag

ID = re.compile(r"\b(?:i|vol|eni|sg)-[0-9a-f]{8,}\b")
UP = re.compile(r"the cluster (\S+) is running and costs money")
"""Message of a launch that could not write its cluster file: the cluster is left."""
NOTHING_MORE = (1, 2, 130)
STATES = ("pending", "running", "shutting-down", "stopping", "stopped")
"""All instance states except terminated."""


@dataclass(frozen=True, order=True)
class Resource:
    """A tagged resource that costs money or occupies a name; ``at`` is the instance it is attached to."""

    kind: str
    id: str
    name: str = ""
    cluster: str = ""
    at: str = ""

    def is_named_in(self, text: str) -> bool:
        """Return whether the text names it or its instance, or says that its cluster is up."""
        words = {self.id, self.at, self.name if self.kind == "key pair" else self.id} - {""}
        return any(word in text for word in words) or self.cluster in UP.findall(text)


def resources(client: Any) -> frozenset[Resource]:
    """Return all resources of dask-bake in the client's region."""
    ours = [{"Name": f"tag:{Tag.MANAGED}", "Values": ["true"]}]
    alive = [{"Name": "instance-state-name", "Values": STATES}]

    def every(method: str, key: str, more: Sequence[Any] = ()) -> list[Any]:
        pages = client.get_paginator(method).paginate(Filters=[*ours, *more])
        return [each for page in pages for each in page[key]]

    found = [
        Resource("instance", each["InstanceId"], cluster=_cluster(each))
        for reservation in every("describe_instances", "Reservations", alive)
        for each in reservation["Instances"]
    ]
    found += [
        Resource("volume", each["VolumeId"], cluster=_cluster(each), at=_at(each.get("Attachments")))
        for each in every("describe_volumes", "Volumes")
        if each["State"] not in ("deleting", "deleted")
    ]
    found += [
        Resource(
            "network interface",
            each["NetworkInterfaceId"],
            cluster=_cluster(each),
            at=_at([each.get("Attachment") or {}]),
        )
        for each in every("describe_network_interfaces", "NetworkInterfaces")
    ]
    found += [
        Resource("security group", each["GroupId"], each["GroupName"], _cluster(each))
        for each in every("describe_security_groups", "SecurityGroups")
    ]
    found += [
        Resource("key pair", each.get("KeyPairId", ""), each["KeyName"], _cluster(each))
        for each in client.describe_key_pairs(Filters=ours)["KeyPairs"]
    ]
    return frozenset(found)


def check(
    before: frozenset[Resource],
    after: frozenset[Resource],
    *,
    code: int,
    message: str = "",
    nodes: int | None = 0,
) -> None:
    """Fail unless the resources match the command's exit code and message.

    Args:
        message: the text that it printed for people.
        nodes: the number of instances requested; ``None`` is at least one, as with ``--min-workers``.
    """
    more, named = after - before, ID.findall(message)
    if code == 0:
        started = [each for each in more if each.kind == "instance"]
        assert len(started) == nodes or (nodes is None and started), f"{nodes} requested: {sorted(started)}"
        assert len({each.cluster for each in more}) == (nodes != 0), f"there is more: {sorted(more)}"
    elif code in NOTHING_MORE:
        assert not more, f"exit code {code}, and there is more: {sorted(more)}"
    else:
        assert code == 3, f"exit code {code} says nothing of what there is"
        unnamed = [each for each in more if not each.is_named_in(message)]
        assert not unnamed, f"there is more than was named in {message!r}: {unnamed}"
        unreal = set(named) - {each.id for each in after}
        assert not unreal, f"{unreal} is named as left, and is not there"
        assert named or more or UP.search(message), f"exit code 3 names nothing: {message!r}"


def checked(client: Any, command: Callable[[], int], *, nodes: int | None = 0) -> int:
    """Run the command, check the resources, and return its exit code or raise its error."""
    before = resources(client)
    try:
        code = command()
    except BakeError as error:
        check(before, resources(client), code=error.exit_code, message=f"{error.message} {error.hint}")
        raise
    except KeyboardInterrupt:
        check(before, resources(client), code=130)
        raise
    check(before, resources(client), code=code, nodes=nodes)
    return code


def _cluster(answer: Any) -> str:
    pairs = answer.get("Tags") or answer.get("TagSet") or []
    return str({each["Key"]: each["Value"] for each in pairs}.get(Tag.CLUSTER, ""))


def _at(attachments: Any) -> str:
    return "".join(each.get("InstanceId", "") for each in attachments or [])
