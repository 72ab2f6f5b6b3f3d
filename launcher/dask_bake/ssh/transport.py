"""What carries SSH to a cluster's head: who is asked for the connection, and by which program."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from dask_bake.errors import BakeError
from dask_bake.models.cloud import Cloud, Connect
from dask_bake.models.cluster import Cluster, Node
from dask_bake.options.launch import LaunchOptions
from dask_bake.system.subprocesses import run_with_timeout

PROGRAMS = {
    Connect.DIRECT: ("ssh",),
    Connect.BASTION: ("ssh",),
    Connect.SSM: ("ssh", "aws", "session-manager-plugin"),
    Connect.EICE: ("ssh", "aws"),
}
INSTALL_HINTS = {
    "ssh": "apt install openssh-client",
    "aws": "AWS's installer brings version 2: docs.aws.amazon.com/cli; --connect bastion does without",
    "session-manager-plugin": "AWS has it as a package: docs.aws.amazon.com/systems-manager;"
    " --connect eice does without",
}
VERSION_TIMEOUT = 30.0
"""Seconds in which a program says which version it is; one that does not is tried all the same."""
WITH_PORT = re.compile(r"(?:[^@]+@)?[^:@\[\]]+:\d+")
"""A host and a port, which ssh takes as a URL alone."""


@dataclass(frozen=True)
class Transport:
    """The way to the head.

    Args:
        environment: what AWS's programs need to reach the same cloud.
        profile: the one of the user's AWS profiles that was asked for.
        endpoint: the Instance Connect endpoint's id; without it the AWS CLI takes whichever it finds.
    """

    kind: Connect = Connect.DIRECT
    bastion: str | None = None
    region: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    profile: str | None = None
    endpoint: str | None = None

    def address(self, head: Node) -> str:
        """What ssh calls the head: the address that whoever carries the connection dials, or its id."""
        match self.kind:
            case Connect.DIRECT:
                return head.address
            case Connect.BASTION:
                return head.private_address
        return head.id

    def proxy(self, head: Node) -> tuple[str, ...]:
        """The command whose input and output are the connection to port 22; none where ssh dials itself."""
        match self.kind:
            case Connect.DIRECT:
                return ()
            case Connect.BASTION:
                # The user's own ssh: its configuration, keys and known hosts are what the bastion wants.
                bastion = self.bastion or ""
                host = f"ssh://{bastion}" if WITH_PORT.fullmatch(bastion) else bastion
                return ("ssh", "-o", "BatchMode=yes", "-W", f"[{head.private_address}]:22", "--", host)
            case Connect.SSM:
                session = ("--document-name", "AWS-StartSSHSession", "--parameters", "portNumber=22")
                return self._aws("ssm", "start-session", "--target", head.id, *session)
        tunnel = ("ec2-instance-connect", "open-tunnel", "--instance-id", head.id, "--remote-port", "22")
        through = ("--instance-connect-endpoint-id", self.endpoint) if self.endpoint else ()
        return self._aws(*tunnel, *through)

    def _aws(self, *words: str) -> tuple[str, ...]:
        variables = tuple(f"{key}={value}" for key, value in self.environment)
        program = ("env", *variables, "aws") if variables else ("aws",)
        # Keys in the environment go before a profile that is named there, and not before one that is said.
        profile = ("--profile", self.profile) if self.profile else ()
        return (*program, *words, "--region", self.region, *profile)


DIRECT = Transport()


def requested_transport(options: LaunchOptions, cloud: Cloud, endpoint: str | None = None) -> Transport:
    """The way that a launch was asked for."""
    return Transport(
        options.transport, options.bastion, cloud.region, cloud.environment, cloud.profile, endpoint
    )


def transport_of(cluster: Cluster, cloud: Cloud) -> Transport:
    """The way that the cluster's tags tell."""
    return Transport(
        cluster.transport, cluster.bastion, cloud.region, cloud.environment, cloud.profile, cluster.endpoint
    )


def check_programs(way: Connect, find: Callable[[str], str | None] = shutil.which) -> None:
    """Raises the sentence for the first program that the way needs and this machine has not."""
    for program in PROGRAMS[way]:
        if find(program) is None:
            needed = "" if way is Connect.DIRECT else f", and --connect {way} needs it"
            raise BakeError(f"there is no {program} on this machine{needed}", hint=INSTALL_HINTS[program])


def check_version(way: Connect) -> None:
    """Raises the sentence for an AWS CLI that knows no Instance Connect endpoints, as version 1 does not."""
    if way is not Connect.EICE:
        return
    told = run_with_timeout(["aws", "--version"], VERSION_TIMEOUT)
    found = re.search(r"aws-cli/(\d+)\S*", told.stdout + told.stderr)
    if found is not None and int(found[1]) < 2:
        raise BakeError(
            f"the aws on this machine is {found[0]}, and --connect {way} needs version 2",
            hint=INSTALL_HINTS["aws"],
        )
