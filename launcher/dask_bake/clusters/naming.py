"""Names, tags and rules of a cluster's security groups, and the errors about a name that is taken."""

from datetime import UTC, datetime

from dask_bake.errors import BakeError
from dask_bake.hints import command_line
from dask_bake.models.ec2 import Rule

DEFAULT_USER = "admin"


def group_name(cluster: str) -> str:
    """The name of a cluster's security group."""
    return f"dask-bake-{cluster}"


def head_group_name(cluster: str) -> str:
    """The name of the group that lets SSH in to a cluster's head."""
    return f"{group_name(cluster)}/ssh"


def moment(when: datetime) -> str:
    """A time as a tag holds it: by it, what a launch left is told from a launch that goes on."""
    return when.astimezone(UTC).isoformat(timespec="seconds")


def member_rule(group_id: str) -> Rule:
    """The nodes reach each other."""
    return Rule(source=group_id, description="nodes of the cluster")


def ssh_rule(caller: str) -> Rule:
    """SSH from there."""
    return Rule(source=caller, description="SSH from where the cluster was launched", port=22)


def already_there(name: str) -> BakeError:
    """The sentence for a name that a cluster has."""
    return BakeError(
        f"a cluster named {name} already exists, or is being launched",
        hint=f"{command_line('status', name)} shows it,"
        f" {command_line('down', name)} ends it, --name gives another",
    )


def ended_by_itself(name: str) -> BakeError:
    """The sentence for a name that only the groups of a cluster have, which is no more."""
    return BakeError(
        f"cluster {name} has ended by itself; its security groups still hold the name",
        hint=f"{command_line('down', name)} clears it",
    )
