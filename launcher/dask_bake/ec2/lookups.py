"""Read-only queries before a launch: each method is one kind of query."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dask_bake.ec2 import requests, responses
from dask_bake.ec2.errors import code_of, translated
from dask_bake.ec2.session import OwnCredentials
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.credentials import TemporaryCredentials
from dask_bake.models.ec2 import (
    ConnectEndpoint,
    Image,
    InstanceType,
    NodeTemplate,
    PlacementGroup,
    Quota,
    SecurityGroup,
    Subnet,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

SESSION_SECONDS = 3600
"""The lifetime of credentials that STS gives; it is the longest for an account's root user."""
UNKNOWN_LIFETIME = timedelta(minutes=15)
"""The time for which credentials whose expiration is unknown are given to others."""
READY = ("create-complete", "update-in-progress", "update-complete", "update-failed")
"""States of an Instance Connect endpoint that accepts connections; it does so during updates."""


class Ec2Queries:
    """Read-only queries to EC2 in one region, and to other services about its account.

    Args:
        client: EC2 client with the retry policy.
        other: returns a client with short time-outs for a service; ``None`` disables other services.
        own: returns the caller's current credentials; ``None`` if they cannot be given to others.
    """

    def __init__(
        self,
        client: "EC2Client",
        other: Callable[[str], Any] | None = None,
        own: Callable[[], OwnCredentials] | None = None,
    ) -> None:
        self._client = client
        self._other = other
        self._own = own
        self._caller_arn: str | None = None

    def find_images(
        self, *, owners: Sequence[str], filters: Mapping[str, str | Sequence[str]]
    ) -> tuple[Image, ...]:
        """Return the images that match, newest first, including disabled ones."""
        wanted: Any = requests.filters(filters)
        with translated("DescribeImages"):
            answer = self._client.describe_images(Owners=list(owners), Filters=wanted, IncludeDisabled=True)
        images = [responses.image(each) for each in answer.get("Images", [])]
        return tuple(sorted(images, key=lambda each: (each.created, each.id), reverse=True))

    def image(self, image_id: str) -> Image:
        """Return the image with that id."""
        try:
            with translated("DescribeImages"):
                answer = self._client.describe_images(ImageIds=[image_id])
        except BakeError as error:
            if code_of(error.__cause__).startswith("InvalidAMIID"):
                raise _no_such_image(image_id) from error
            raise
        if not answer.get("Images"):
            raise _no_such_image(image_id)
        return responses.image(answer["Images"][0])

    def subnets(self, *, vpc_id: str | None = None, subnet_id: str | None = None) -> tuple[Subnet, ...]:
        """Return the VPC's subnets, or the one with that id; without either, the default subnets."""
        wanted = {"default-for-az": "true"}
        if vpc_id is not None or subnet_id is not None:
            given = {"vpc-id": vpc_id, "subnet-id": subnet_id}
            wanted = {name: value for name, value in given.items() if value is not None}
        filters: Any = requests.filters(wanted)
        with translated("DescribeSubnets"):
            pages = self._client.get_paginator("describe_subnets").paginate(Filters=filters)
            found = [responses.subnet(each) for page in pages for each in page.get("Subnets", [])]
        # In an EC2 filter * and ? are wildcards; an id is not a pattern.
        exact = [each for each in found if vpc_id in (None, each.vpc_id) and subnet_id in (None, each.id)]
        return tuple(sorted(exact, key=lambda each: (each.zone, each.id)))

    def instance_types(self, names: Sequence[str]) -> tuple[InstanceType, ...]:
        """Return the instance types with these names, in this order."""
        with translated("DescribeInstanceTypes"):
            answer = self._client.describe_instance_types(InstanceTypes=list(names))  # type: ignore[arg-type]
        found = {each["InstanceType"]: responses.instance_type(each) for each in answer["InstanceTypes"]}
        return tuple(found[name] for name in names if name in found)

    def offerings(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Return the zones that offer these instance types, as pairs of a type and a zone."""
        filters: Any = requests.filters({"instance-type": names})
        with translated("DescribeInstanceTypeOfferings"):
            pages = self._client.get_paginator("describe_instance_type_offerings").paginate(
                LocationType="availability-zone", Filters=filters
            )
            return frozenset(
                (each["InstanceType"], each["Location"])
                for page in pages
                for each in page.get("InstanceTypeOfferings", [])
            )

    def groups(self, tags: Mapping[str, str], *, name: str | None = None) -> tuple[SecurityGroup, ...]:
        """Return the security groups with these tags, and with that name if one is given."""
        wanted: dict[str, str | Sequence[str]] = {f"tag:{key}": value for key, value in tags.items()}
        if name is not None:
            wanted["group-name"] = name
        return self._groups(wanted)

    def named_groups(
        self, *, name: str | None = None, group_id: str | None = None
    ) -> tuple[SecurityGroup, ...]:
        """Return the security groups with that name, in any VPC, or the one with that id."""
        given = {"group-name": name, "group-id": group_id}
        found = self._groups({key: value for key, value in given.items() if value is not None})
        return tuple(each for each in found if name in (None, each.name) and group_id in (None, each.id))

    def node_template(self, instance_id: str) -> NodeTemplate:
        """Return what the instance was made by, with its user-data."""
        with translated("DescribeInstances"):
            answer = self._client.describe_instances(InstanceIds=[instance_id])
        with translated("DescribeInstanceAttribute"):
            attribute = self._client.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        found = answer["Reservations"][0]["Instances"][0]
        return responses.node_template(found, attribute.get("UserData", {}).get("Value", ""))

    def has_key_pair(self, name: str) -> bool:
        """Return whether a key pair with that name exists."""
        filters: Any = requests.filters({"key-name": name})
        with translated("DescribeKeyPairs"):
            found = self._client.describe_key_pairs(Filters=filters).get("KeyPairs", [])
        return any(each.get("KeyName") == name for each in found)

    def placement_group(self, name: str) -> PlacementGroup | None:
        """Return the placement group with that name, if it exists."""
        filters: Any = requests.filters({"group-name": name})
        with translated("DescribePlacementGroups"):
            answer = self._client.describe_placement_groups(Filters=filters)
        found = [responses.placement_group(each) for each in answer.get("PlacementGroups", [])]
        return next((each for each in found if each.name == name), None)

    def connect_endpoints(self) -> tuple[ConnectEndpoint, ...]:
        """Return the Instance Connect endpoints that are ready, in any VPC."""
        filters: Any = requests.filters({"state": READY})
        with translated("DescribeInstanceConnectEndpoints"):
            pages = self._client.get_paginator("describe_instance_connect_endpoints").paginate(
                Filters=filters
            )
            return tuple(
                responses.connect_endpoint(each)
                for page in pages
                for each in page.get("InstanceConnectEndpoints", [])
            )

    def quota(self, code: str) -> Quota | None:
        """Return EC2's quota with that code; ``None`` if it cannot be read."""
        if self._other is None:
            return None
        try:
            with translated("GetServiceQuota"):
                client = self._other("service-quotas")
                found = client.get_service_quota(ServiceCode="ec2", QuotaCode=code).get("Quota", {})
        except BakeError:
            return None
        if "Value" not in found:  # the response came from a proxy
            return None
        return Quota(code, name=found.get("QuotaName", ""), value=found["Value"])

    def has_instance_profile(self, name: str) -> bool | None:
        """Return whether the instance profile exists in IAM; ``None`` if it cannot be read."""
        if self._other is None:
            return None
        try:
            with translated("GetInstanceProfile"):
                self._other("iam").get_instance_profile(InstanceProfileName=name)
        except BakeError as error:
            return False if code_of(error.__cause__) == "NoSuchEntity" else None
        return True

    def caller_arn(self) -> str:
        """Return the ARN of the caller, read once and without any permission; "" if it cannot be read."""
        if self._caller_arn is None:
            self._caller_arn = self._read_caller_arn()
        return self._caller_arn

    def temporary_credentials(self) -> TemporaryCredentials:
        """Return credentials of the caller that expire: the caller's own, or else new ones of STS."""
        if self._own is None or self._other is None:
            raise BakeError("there are no credentials to forward", hint="connect to a cluster of a cloud")
        own = self._own()
        if own.token:
            expires = own.expires or datetime.now(UTC) + UNKNOWN_LIFETIME
            return TemporaryCredentials(own.access_key, own.secret_key, own.token, expires)
        with translated("GetSessionToken"):
            answer = self._other("sts").get_session_token(DurationSeconds=SESSION_SECONDS)
            return responses.temporary_credentials(answer["Credentials"])

    def _read_caller_arn(self) -> str:
        if self._other is None:
            return ""
        try:
            with translated("GetCallerIdentity"):
                return str(self._other("sts").get_caller_identity().get("Arn", ""))
        except UsageError:  # there are no credentials that can be used
            raise
        except BakeError:
            return ""

    def _groups(self, wanted: Mapping[str, str | Sequence[str]]) -> tuple[SecurityGroup, ...]:
        filters: Any = requests.filters(wanted)
        with translated("DescribeSecurityGroups"):
            pages = self._client.get_paginator("describe_security_groups").paginate(Filters=filters)
            return tuple(responses.group(each) for page in pages for each in page["SecurityGroups"])


def _no_such_image(image_id: str) -> BakeError:
    return BakeError(
        f"the image {image_id} does not exist in this region",
        hint="leave it out for the newest image; dask-bake bake makes one",
    )
