"""Names, tags and rules of a cluster's security groups, and the errors for a name in use."""

from datetime import UTC, datetime

from dask_bake.errors import UsageError
from dask_bake.hints import command_line
from dask_bake.models.ec2 import Rule

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


def already_there(name: str) -> UsageError:
    """Return the error for the name of an existing cluster."""
    return UsageError(
        f"a cluster named {name} already exists, or is being launched",
        hint=f"{command_line('status', name)} shows it,"
        f" {command_line('down', name)} ends it, --name gives another",
    )
