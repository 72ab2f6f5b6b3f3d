"""Names, tags and rules of a cluster's security groups, and the errors for a name in use."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dask_bake.errors import UsageError
from dask_bake.hints import command_line
from dask_bake.models.ec2 import Rule
from dask_bake.models.owner import Owner, shown

DEFAULT_USER = "admin"


def group_name(cluster: str) -> str:
    """Return the name of a cluster's security group."""
    return f"dask-bake-{cluster}"


def head_group_name(cluster: str) -> str:
    """Return the name of the security group that allows SSH to a cluster's head."""
    return f"{group_name(cluster)}/ssh"


def moment(when: datetime) -> str:
    """Format a time for a tag; ``reap`` uses it to tell a launch in progress from leftovers."""
    return when.astimezone(UTC).isoformat(timespec="seconds")


def member_rule(group_id: str) -> Rule:
    """Return the rule that allows all traffic between the nodes."""
    return Rule(source=group_id, description="nodes of the cluster")


def ssh_rule(caller: str) -> Rule:
    """Return the rule that allows SSH from the address block."""
    return Rule(source=caller, description="SSH from where the cluster was launched", port=22)


def already_there(name: str, owners: Sequence[str], caller: Owner) -> UsageError:
    """Return the error for the name of an existing cluster; only its owner is told how to end it."""
    is_own = caller.owns(owners)
    whose = f"; it belongs to {shown(owners)}" if owners and not is_own else ""
    ends = f" {command_line('down', name)} ends it," if is_own else ""
    return UsageError(
        f"a cluster named {name} already exists, or is being launched{whose}",
        hint=f"{command_line('status', name)} shows it,{ends} --name gives another",
    )
