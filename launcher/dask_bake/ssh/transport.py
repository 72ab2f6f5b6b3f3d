"""SSH transports: direct, bastion, Session Manager, Instance Connect Endpoint."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    "aws": "AWS's installer brings version 2: docs.aws.amazon.com/cli; --connect bastion does not need it",
    "session-manager-plugin": "AWS has it as a package: docs.aws.amazon.com/systems-manager; --connect"
    " eice does not need it",
}
SECRET = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
VERSION_TIMEOUT = 30.0
"""Seconds for a program to print its version; after that it is used without the check."""
WITH_PORT = re.compile(r"(?:[^@]+@)?[^:@\[\]]+:\d+")
"""A host with a port, which ssh accepts only as a URL."""


@dataclass(frozen=True)
class Transport:
    """The transport of SSH to the head.

    Args:
        environment: variables with which the AWS CLI reaches the same cloud.
        profile: the AWS profile that the user chose.
        credentials_file: the file from which the AWS CLI reads the keys of the local cloud.
        endpoint: the Instance Connect Endpoint's id; without it the AWS CLI chooses one.
    """

    kind: Connect = Connect.DIRECT
    bastion: str | None = None
    region: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    profile: str | None = None
    endpoint: str | None = None
    credentials_file: Path | None = None

    def address(self, head: Node) -> str:
        """Return the head's address for ssh: public, private behind a bastion, else the instance id."""
        match self.kind:
            case Connect.DIRECT:
                return head.address
            case Connect.BASTION:
                return head.private_address
        return head.id

    def proxy(self, head: Node) -> tuple[str, ...]:
        """Return ssh's proxy command for the connection to port 22; empty if ssh connects directly."""
        match self.kind:
            case Connect.DIRECT:
                return ()
            case Connect.BASTION:
                # The bastion needs the configuration, keys and known hosts of the user's own ssh.
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
        # Every user of this machine can read the command line: keys come from a file.
        variables = [f"{key}={value}" for key, value in self.environment if key not in SECRET]
        if self.credentials_file is not None:
            unset = [word for key in (*sorted(SECRET), "AWS_PROFILE") for word in ("-u", key)]
            variables = [*unset, *variables, f"AWS_SHARED_CREDENTIALS_FILE={self.credentials_file}"]
        program = ("env", *variables, "aws") if variables else ("aws",)
        # Keys in the environment take precedence over AWS_PROFILE, but not over --profile.
        profile = ("--profile", self.profile) if self.profile else ()
        return (*program, *words, "--region", self.region, *profile)


DIRECT = Transport()


def requested_transport(options: LaunchOptions, cloud: Cloud, endpoint: str | None = None) -> Transport:
    """Return the transport that the options of a launch choose."""
    return _transport(options.transport, options.bastion, cloud, endpoint)


def transport_of(cluster: Cluster, cloud: Cloud) -> Transport:
    """Return the transport in the cluster's tags."""
    return _transport(cluster.transport, cluster.bastion, cloud, cluster.endpoint)


def _transport(kind: Connect, bastion: str | None, cloud: Cloud, endpoint: str | None) -> Transport:
    return Transport(
        kind=kind,
        bastion=bastion,
        region=cloud.region,
        environment=cloud.environment,
        profile=cloud.profile,
        endpoint=endpoint,
        credentials_file=cloud.credentials_file,
    )


def check_programs(way: Connect, find: Callable[[str], str | None] = shutil.which) -> None:
    """Raise if a program that the transport needs is not installed."""
    for program in PROGRAMS[way]:
        if find(program) is None:
            needed = "" if way is Connect.DIRECT else f", and --connect {way} needs it"
            raise BakeError(f"there is no {program} on this machine{needed}", hint=INSTALL_HINTS[program])


def check_version(way: Connect) -> None:
    """Raise if the transport is an Instance Connect Endpoint and the AWS CLI is version 1, which lacks it."""
    if way is not Connect.EICE:
        return
    done = run_with_timeout(["aws", "--version"], VERSION_TIMEOUT)
    found = re.search(r"aws-cli/(\d+)\S*", done.stdout + done.stderr)
    if found is not None and int(found[1]) < 2:
        raise BakeError(
            f"the AWS CLI on this machine is {found[0]}, and --connect {way} needs version 2",
            hint=INSTALL_HINTS["aws"],
        )
