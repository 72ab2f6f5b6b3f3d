"""Translation of AWS errors into errors for users; no botocore exception leaves ``ec2``."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)
from botocore.parsers import ResponseParserError

from dask_bake.errors import (
    BakeError,
    CapacityError,
    NotAwsResponseError,
    OutcomeUnknownError,
    QuotaError,
    TransientError,
    UsageError,
)

CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "UnfulfillableCapacity",
        "ReservationCapacityExceeded",
        "InsufficientFreeAddressesInSubnet",
        "SpotMaxPriceTooLow",
        "Unsupported",
    }
)
"""Codes after which another zone, instance type or market may succeed."""
ZONE = re.compile(r"\b[a-z]{2}(?:-[a-z]+)+-\d[a-z]\b")
SPOT_QUOTA = "MaxSpotInstanceCountExceeded"
QUOTA = frozenset({"VcpuLimitExceeded", "InstanceLimitExceeded", SPOT_QUOTA})
THROTTLED = frozenset({"RequestLimitExceeded", "EC2ThrottledException", "Throttling", "ThrottlingException"})
CREDENTIALS = frozenset(
    {"AuthFailure", "InvalidClientTokenId", "ExpiredToken", "RequestExpired", "SignatureDoesNotMatch"}
)
DENIED = frozenset({"UnauthorizedOperation", "AccessDenied"})
UNKNOWN_IMAGE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"})
IMAGE_QUOTA = frozenset(
    {"ResourceLimitExceeded", "AMILimitExceeded", "AMIQuotaExceeded", "ImageLimitExceeded"}
)
SNAPSHOTS_BUSY = frozenset(
    {"ConcurrentSnapshotLimitExceeded", "PendingSnapshotLimitExceeded", "SnapshotLimitExceeded"}
)
AWS_KEY_MESSAGES = ("EBS default key", "AWS Managed CMK")
"""Parts of EC2's messages about snapshots and about images."""
MORE_OF_VPC = "ask for more under Service Quotas, Amazon Virtual Private Cloud,"
HINTS: Mapping[str, str] = {
    "VolumeLimitExceeded": "ask for more under Service Quotas, Amazon EBS, 'Storage for … volumes';"
    " or take a smaller --volume-size, or fewer nodes",
    "MaxIOPSLimitExceeded": "ask for more under Service Quotas, Amazon EBS, 'IOPS for … volumes';"
    " or take another --volume-type, or fewer nodes",
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": "aws iam create-service-linked-role"
    " --aws-service-name spot.amazonaws.com, once in the account; or leave out --spot",
    "SecurityGroupLimitExceeded": f"dask-bake reap removes groups that clusters left; or {MORE_OF_VPC}"
    " 'VPC security groups per Region'",
    "RulesPerSecurityGroupLimitExceeded": f"give fewer blocks with --cidr; or {MORE_OF_VPC}"
    " 'Inbound or outbound rules per security group'",
    "SecurityGroupsPerInterfaceLimitExceeded": f"leave out --security-group; or {MORE_OF_VPC}"
    " 'Security groups per network interface'",
    "NetworkInterfaceLimitExceeded": f"dask-bake reap removes what clusters left; or {MORE_OF_VPC}"
    " 'Network interfaces per Region'",
    "KeyPairLimitExceeded": "remove key pairs that nobody uses: aws ec2 describe-key-pairs lists them",
    "TagLimitExceeded": "give fewer tags: EC2 allows 50 for each resource, and dask-bake adds its own",
    "OptInRequired": "sign the account up for EC2; or accept the image's terms where the message says",
    "PendingVerification": "AWS is verifying the account and sends an e-mail when it is done",
    "Blocked": "AWS has blocked the account: contact AWS Support",
    "IdempotentParameterMismatch": "launch again: each launch has its own client tokens",
}
"""Hints for codes that have no message of their own here."""
LAUNCH_HINT = "dask-bake launch --dry-run shows the request"
QUOTA_HINT = (
    "a quota of the account is reached: Service Quotas in AWS's console shows it, and takes requests for more"
)
QUOTA_CODE = re.compile(r".*(?:Limit|Quota)Exceeded")
DENIAL = re.compile(
    r"(?P<explicit>with an explicit deny in|because no) (?:an? |the )?"
    r"(?P<policy>[A-Za-z -]*(?:policy|boundary))"
)
"""The end of AWS's message about a denied call (IAM user guide, access denied error messages)."""
OF_OTHERS: Mapping[str, str] = {
    "service control policy": "the organization forbids it: ask those who manage the organization in AWS"
    " Organizations; often another --region or --type is allowed",
    "resource control policy": "the organization forbids it: ask those who manage the organization in AWS"
    " Organizations",
    "permissions boundary": "the permissions boundary of this user or role has to allow it: ask the account's"
    " administrators; more policies do not help",
    "session policy": "the session's own policy does not allow it: log in without one, or with a wider one",
    "VPC endpoint policy": "the VPC endpoint's policy does not allow it: ask those who manage the VPC",
}
"""Hints for policies other than those of the user or role."""
EARLIER_ATTEMPT = "an earlier attempt may have succeeded"
"""Note on the exception of the last attempt."""
ENCODED = re.compile(r"\s*Encoded authorization failure message:.*", re.DOTALL)
RETRIES = re.compile(r"\s*\(reached max retries: \d+\)")


def code_of(error: BaseException | None) -> str:
    """Return the AWS error code; empty if AWS did not respond."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def is_fault(error: BaseException | None) -> bool:
    """Return whether AWS failed, with a status of 500 or above: the operation may have succeeded.

    Errors about capacity, quotas and throttling can have such a status, too; they are definite.
    """
    if not isinstance(error, ClientError) or code_of(error) in CAPACITY | QUOTA | THROTTLED:
        return False
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Translate botocore's exceptions into ``BakeError``."""
    try:
        yield
    except ClientError as error:
        code, message = code_of(error), _message_of(error)
        refused: BakeError = (
            OutcomeUnknownError(f"AWS failed at {operation}: {message} ({code})", hint="try again later")
            if is_fault(error)
            else refusal(operation, code, message)
        )
        refused.may_have_happened |= EARLIER_ATTEMPT in getattr(error, "__notes__", ())
        raise refused from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise UsageError(
            f"{operation}: there are no usable AWS credentials",
            hint="aws configure sets them; dask-bake --cloud local needs none",
        ) from error
    except ResponseParserError as error:
        raise NotAwsResponseError(
            f"{operation}: the response did not come from EC2", hint="is a proxy or a login page in the way?"
        ) from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise OutcomeUnknownError(
            f"{operation}: EC2 could not be reached: {error}",
            hint=_hint_of_endpoint(str(error), os.environ),
        ) from error
    except BotoCoreError as error:
        raise BakeError(f"{operation}: {error}") from error


def refusal(operation: str, code: str, message: str) -> BakeError:
    """Return the error for an AWS error code."""
    if code == "AuthFailure" and "for images" in message:
        hint = "its owner can share it with this account; dask-bake bake makes another"
        return BakeError(f"this account may not launch from the image: {message} ({code})", hint=hint)
    if code in CREDENTIALS:
        hint = "log in again (aws sso login, aws configure) and check this machine's clock"
        if code == "AuthFailure":  # of regions that were not enabled, too
            hint += "; some regions have to be enabled for the account first: aws account enable-region"
        return BakeError(f"AWS does not accept the credentials: {message} ({code})", hint=hint)
    if code in DENIED:
        return BakeError(
            f"these AWS credentials may not call ec2:{operation}: {message} ({code})",
            hint=_hint_of_denial(message),
        )
    if code in UNKNOWN_IMAGE:
        return BakeError(f"{message} ({code})", hint="dask-bake bake makes one in this region")
    if code in CAPACITY:
        hint = "try another --type, another --zone, or later"
        return CapacityError(
            f"AWS lacks capacity for this request: {message} ({code})",
            hint=hint,
            code=code,
            zones=zones_with_room(message),
        )
    if code in QUOTA:
        kind = "Spot Instance Requests" if code == SPOT_QUOTA else "Running On-Demand … instances"
        return QuotaError(
            f"the account's quota is too small: {message} ({code})",
            hint=f"ask for more under Service Quotas, EC2, '{kind}'; or take fewer or smaller nodes",
        )
    if code in THROTTLED:
        return TransientError(
            f"AWS is throttling {operation}: {message} ({code})", hint="wait a minute and try again"
        )
    if code == "InvalidInstanceType":
        return UsageError(message, hint="use a name such as m6i.2xlarge")
    advice = HINTS.get(code) or (QUOTA_HINT if QUOTA_CODE.fullmatch(code) else None)
    advice = advice or (LAUNCH_HINT if operation == "RunInstances" else None)
    return BakeError(f"{operation} failed: {message} ({code})", hint=advice)


def _hint_of_endpoint(message: str, environ: Mapping[str, str]) -> str:
    """Return a hint that names the variable by which AWS's endpoint was replaced, if the message has it."""
    for name, url in environ.items():
        if name.startswith("AWS_ENDPOINT_URL") and url.rstrip("/") and url.rstrip("/") in message:
            return f"{name} names that endpoint: correct it, or unset it"
    return "check the network, the region and the proxy"


def _hint_of_denial(message: str) -> str:
    """Return a hint for the policy that denies the call, as AWS's message names it."""
    found = DENIAL.search(message)
    if found is not None and found["policy"] in OF_OTHERS:
        return OF_OTHERS[found["policy"]]
    if found is not None and found["explicit"] != "because no":
        return "a policy has a Deny for it, which no Allow overrides: ask the account's administrators"
    return "ask for that permission: dask-bake iam-policy prints the policy"


def zones_with_room(message: str) -> tuple[str, ...]:
    """Return the zones that a message about capacity recommends, in its order."""
    return tuple(dict.fromkeys(ZONE.findall(message.partition("choosing")[2])))


def _message_of(error: ClientError) -> str:
    message = str(error.response.get("Error", {}).get("Message", "")) or str(error)
    return RETRIES.sub("", ENCODED.sub("", message)).strip()


@contextmanager
def image_errors(operation: str) -> Iterator[None]:
    """Translate botocore's exceptions, with messages for calls about images."""
    try:
        with translated(operation):
            yield
    except BakeError as error:
        better = reworded(code_of(error.__cause__), error.message)
        if better is None:
            raise
        better.may_have_happened = error.may_have_happened
        raise better from error.__cause__


def reworded(code: str, message: str) -> BakeError | None:
    """Return the error for a code that only calls about images return; ``None`` for other codes."""
    if any(words in message for words in AWS_KEY_MESSAGES):
        return BakeError(
            "the image is encrypted with AWS's own key, and such an image cannot be shared",
            hint="bake it with --kms-key and a key of yours, which the other account may use",
        )
    if code in IMAGE_QUOTA:
        return BakeError(
            f"the account has as many images, or copies under way, as its quota allows: {message}",
            hint="dask-bake images prune --keep 2 makes room; Service Quotas, EC2, 'AMIs' has the quota",
        )
    if code in SNAPSHOTS_BUSY:
        return BakeError(
            f"the account has as many snapshots, or snapshots under way, as its quota allows: {message}",
            hint="try again when some are done; dask-bake images prune --keep 2 removes old ones",
        )
    if code == "InvalidAMIName.Duplicate":
        return BakeError(
            f"the name is taken by an image that is being made, or is not dask-bake's: {message}",
            hint="aws ec2 describe-images --owners self shows it; then try again",
        )
    if code == "InvalidAMIAttributeItemValue":
        return UsageError(f"AWS does not know the account: {message}", hint="an account number has 12 digits")
    if code.startswith("InvalidAMIID"):
        return BakeError(f"the image is gone: {message}", hint="dask-bake images lists those that are there")
    return None
