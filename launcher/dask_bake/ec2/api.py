"""EC2 in dask-bake's own types: each method makes one call, or one kind of query."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dask_bake.cloud_init.render import check_size
from dask_bake.ec2 import requests, responses
from dask_bake.ec2.client import Clients
from dask_bake.ec2.errors import CREDENTIALS, DENIED, THROTTLED, code_of, is_fault, translated
from dask_bake.ec2.lookups import Ec2Queries
from dask_bake.ec2.prices import PriceList
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.ec2.session import OwnCredentials
from dask_bake.errors import BakeError, NotAwsResponseError, OutcomeUnknownError
from dask_bake.events import Notify
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Node
from dask_bake.models.ec2 import InstanceSpec, Rule, SecurityGroup
from dask_bake.models.tags import Tag, Tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

NO_GROUP = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
NO_INSTANCE = ("InvalidInstanceID.NotFound",)
LOOKUPS, LOOKUP_INTERVAL = 30, 1.0
"""Number of look-ups of a group that EC2 reports as a duplicate, and the seconds between them."""


class Ec2(Ec2Queries):
    """Client for EC2 in one region, and for the other services of its account.

    Args:
        client: EC2 client with the retry policy.
        sleep: called between two polls.
        other: returns a client with short time-outs for a service; ``None`` disables other services.
        own: returns the caller's current credentials.
    """

    def __init__(
        self,
        client: "EC2Client",
        *,
        sleep: Callable[[float], None],
        other: Callable[[str], Any] | None = None,
        own: Callable[[], OwnCredentials] | None = None,
    ) -> None:
        super().__init__(client, other, own)
        self._sleep = sleep
        self.prices = None if other is None else PriceList(other, client.meta.region_name)

    def create_security_group(self, name: str, *, vpc_id: str, tags: Tags) -> SecurityGroup | None:
        """Create a security group; return ``None`` if somebody else has taken the name.

        EC2 refuses the name, too, if an earlier attempt created the group and its response was lost.
        """
        request = requests.create_security_group(name, vpc_id=vpc_id, tags=tags)
        with translated("CreateSecurityGroup"):
            try:
                answer = self._client.create_security_group(**request)
            except ClientError as error:
                if code_of(error) != "InvalidGroup.Duplicate":
                    raise
                try:
                    return self._made_before(name, vpc_id=vpc_id, tags=tags)
                except BakeError as unknown:
                    unknown.may_have_happened = True
                    raise
        return SecurityGroup(id=answer["GroupId"], name=name, vpc_id=vpc_id, tags=tuple(sorted(tags)))

    def authorize(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        """Add the rules to the group; ignore rules that exist already."""
        request = requests.authorize(group.id, rules)
        with translated("AuthorizeSecurityGroupIngress"):
            try:
                self._client.authorize_security_group_ingress(**request)
            except ClientError as error:
                if code_of(error) != "InvalidPermission.Duplicate":
                    raise
                # EC2 refuses all rules if one of them exists.
                for rule in rules if len(rules) > 1 else ():
                    self.authorize(group, (rule,))

    def revoke(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        """Remove the rules from the group; ignore rules that do not exist."""
        with translated("RevokeSecurityGroupIngress"):
            for rule in rules:
                request = requests.revoke(group.id, (rule,))
                try:
                    self._client.revoke_security_group_ingress(**request)
                except ClientError as error:
                    if code_of(error) != "InvalidPermission.NotFound":
                        raise

    def run_instances(self, spec: InstanceSpec) -> tuple[Node, ...]:
        """Start instances and return them; a retry has the same client token, and starts nothing twice."""
        if spec.user_data is not None:
            check_size(spec.user_data)
        request = requests.run_instances(spec)
        with translated("RunInstances"):
            answer = self._client.run_instances(**request)
        if "Instances" not in answer:
            raise NotAwsResponseError(
                "RunInstances: the response did not come from EC2", hint="is a proxy in the way?"
            )
        return _by_index(answer["Instances"])

    def denial(self, operation: str, request: Mapping[str, Any]) -> BakeError | None:
        """Return the error with which EC2 denies the caller the operation, by a dry run that changes nothing.

        Raises:
            BakeError: if EC2 neither allows nor denies the operation.
        """
        calls: Mapping[str, Callable[..., Any]] = {
            "CreateSecurityGroup": self._client.create_security_group,
            "ImportKeyPair": self._client.import_key_pair,
            "RunInstances": self._client.run_instances,
        }
        try:
            with translated(operation):
                calls[operation](**request, DryRun=True)
        except BakeError as error:
            if code_of(error.__cause__) in DENIED:
                return error
            if code_of(error.__cause__) != "DryRunOperation":
                raise
        return None

    def nodes(self, tags: Mapping[str, str]) -> tuple[Node, ...]:
        """Return the nodes with these tags, in any state, the head node first."""
        filters = requests.filters({f"tag:{key}": value for key, value in tags.items()})
        found: list[Any] = []
        with translated("DescribeInstances"):
            pages = self._client.get_paginator("describe_instances").paginate(Filters=filters)  # type: ignore[arg-type]
            for page in pages:
                for reservation in page.get("Reservations", []):
                    found.extend(reservation["Instances"])
        return _by_index(found)

    def key_pairs(self, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of the key pairs with these tags."""
        filters: Any = requests.filters({f"tag:{key}": value for key, value in tags.items()})
        with translated("DescribeKeyPairs"):
            answer = self._client.describe_key_pairs(Filters=filters)
        return tuple(each["KeyName"] for each in answer.get("KeyPairs", []))

    def import_key_pair(self, name: str, *, public_key: str, tags: Tags) -> None:
        """Import the public key as a key pair; ignore a duplicate that this launch imported."""
        request = requests.import_key_pair(name, public_key=public_key, tags=tags)
        with translated("ImportKeyPair"):
            try:
                self._client.import_key_pair(**request)
            except ClientError as error:
                is_duplicate = code_of(error) == "InvalidKeyPair.Duplicate"
                if not is_duplicate or name not in self.key_pairs({Tag.LAUNCH: dict(tags)[Tag.LAUNCH]}):
                    raise

    def delete_key_pair(self, name: str) -> None:
        """Delete the key pair; ignore one that does not exist."""
        with translated("DeleteKeyPair"):
            self._client.delete_key_pair(KeyName=name)

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        """Add the tags to the resources, in place of their values so far."""
        with translated("CreateTags"):
            self._client.create_tags(Resources=list(resource_ids), Tags=requests.tag_list(tags))

    def console_output(self, instance_id: str) -> str:
        """Return the instance's console output; empty while EC2 has none or does not list the instance.

        For instance types without the Nitro system, the output is some minutes old.
        """
        with translated("GetConsoleOutput"):
            try:
                try:
                    answer = self._client.get_console_output(InstanceId=instance_id, Latest=True)
                except ClientError as error:
                    if code_of(error) != "UnsupportedOperation":
                        raise
                    answer = self._client.get_console_output(InstanceId=instance_id)
            except ClientError as error:
                if code_of(error) not in NO_INSTANCE:
                    raise
                return ""
        return answer.get("Output", "")

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """Terminate the instances; ignore missing ones, and terminate the others if EC2 refuses one."""
        with translated("TerminateInstances"):
            try:
                self._client.terminate_instances(InstanceIds=list(instance_ids))
            except ClientError as error:
                if is_fault(error) or code_of(error) in THROTTLED | CREDENTIALS:
                    raise
                if len(instance_ids) > 1:
                    self._terminate_singly(instance_ids)
                elif code_of(error) not in NO_INSTANCE:
                    raise

    def delete_security_group(self, group_id: str) -> bool:
        """Delete the group; return false while another resource uses it."""
        with translated("DeleteSecurityGroup"):
            try:
                self._client.delete_security_group(GroupId=group_id)
            except ClientError as error:
                if code_of(error) in ("DependencyViolation", "InvalidGroup.InUse"):
                    return False
                if code_of(error) not in NO_GROUP:
                    raise
        return True

    def holders(self, group_id: str) -> tuple[str, ...]:
        """Return the network interfaces in the group; empty without the permission to list them."""
        filters: Any = requests.filters({"group-id": group_id})
        try:
            with translated("DescribeNetworkInterfaces"):
                answer = self._client.describe_network_interfaces(Filters=filters)
        except BakeError:
            return ()  # only a message needs them
        return tuple(each["NetworkInterfaceId"] for each in answer.get("NetworkInterfaces", []))

    def _terminate_singly(self, instance_ids: Sequence[str]) -> None:
        refused: BakeError | None = None
        for instance_id in instance_ids:
            try:
                self.terminate([instance_id])
            except BakeError as error:
                refused = error
        if refused is not None:
            raise refused

    def _made_before(self, name: str, *, vpc_id: str, tags: Tags) -> SecurityGroup | None:
        """Return the group if it has this launch's tag; ``None`` if somebody else created it."""
        for _ in range(LOOKUPS):
            found = [each for each in self.named_groups(name=name) if each.vpc_id == vpc_id]
            if found:
                own = dict(tags).get(Tag.LAUNCH)
                return next((each for each in found if own and dict(each.tags).get(Tag.LAUNCH) == own), None)
            # EC2 is eventually consistent: the group exists and is not listed yet.
            self._sleep(LOOKUP_INTERVAL)
        raise OutcomeUnknownError(f"EC2 reports that the security group {name} exists, and does not list it")


def connect(cloud: Cloud, notify: Notify, *, retries: RetryPolicy | None = None) -> Ec2:
    """Return the client for the cloud; each call sends an event."""
    clients = Clients(cloud, notify, retries=retries)
    return Ec2(clients.ec2(), sleep=time.sleep, other=clients.other, own=clients.own_credentials)


def _by_index(instances: Sequence[Any]) -> tuple[Node, ...]:
    return tuple(sorted(map(responses.node, instances), key=lambda node: (node.index, node.id)))
