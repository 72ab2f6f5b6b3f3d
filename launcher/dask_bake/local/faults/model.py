"""Faults that the local cloud can be told to have: what they are, and which request each is for; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Kind(StrEnum):
    """What goes wrong."""

    ERROR = "error"
    DELAY = "delay"
    DROP_BEFORE = "drop-before"
    DROP_AFTER = "drop-after"
    TRUNCATE = "truncate"
    HTML = "html"
    CAPACITY = "capacity"
    UNSEEN = "unseen"
    PENDING = "pending"
    TERMINATED = "terminated"
    UNHEALTHY = "unhealthy"
    SPOT_NOTICE = "spot-notice"
    CUT = "cut"


MEANINGS = {
    Kind.ERROR: "the request is refused, with --code, --status and --message",
    Kind.DELAY: "the request is answered --seconds later",
    Kind.DROP_BEFORE: "the connection is closed, and nothing was done",
    Kind.DROP_AFTER: "the request is carried out, and the connection closed without an answer",
    Kind.TRUNCATE: "the request is carried out, and half of the answer sent",
    Kind.HTML: "the answer is a page of HTML with status 200, and nothing was done",
    Kind.CAPACITY: "there are only --count instances to be had",
    Kind.UNSEEN: "new instances are not found for --seconds",
    Kind.PENDING: "new instances stay pending",
    Kind.TERMINATED: "instances are terminated after --seconds, with --code as the reason",
    Kind.UNHEALTHY: "new instances boot, fail their checks, and get no metadata",
    Kind.SPOT_NOTICE: "after --seconds, instances are told that they end --notice seconds later",
    Kind.CUT: "instances are cut off from the network for --seconds; 0: until all rules are removed",
}
OF_LIVING = frozenset({Kind.TERMINATED, Kind.UNHEALTHY, Kind.SPOT_NOTICE, Kind.CUT})
"""What can happen to an instance that is there."""
OF_INSTANCES = frozenset({Kind.UNSEEN, Kind.PENDING}) | OF_LIVING
"""What happens to the instances of a launch, which itself goes well."""
ENDINGS = frozenset(
    {Kind.ERROR, Kind.DROP_BEFORE, Kind.DROP_AFTER, Kind.TRUNCATE, Kind.HTML},
)
"""Of these a request can have one."""
NO_CAPACITY = "InsufficientInstanceCapacity"
METADATA = "Metadata"
"""The action under which requests to the instance metadata service go."""

ERRORS = {
    NO_CAPACITY: (500, "We currently do not have sufficient capacity."),
    "AuthFailure": (401, "AWS was not able to validate the provided access credentials"),
    "Blocked": (403, "Your account is currently blocked. Please contact AWS Support if you have questions."),
    "DependencyViolation": (400, "resource has a dependent object"),
    "EC2ThrottledException": (503, "Request limit exceeded."),
    "ExpiredToken": (400, "The provided token has expired."),
    "InstanceLimitExceeded": (400, "Your quota allows for 0 more running instance(s)."),
    "InternalError": (500, "An internal error has occurred"),
    "InvalidClientTokenId": (403, "The security token included in the request is invalid."),
    "MaxSpotInstanceCountExceeded": (400, "Max spot instance count exceeded"),
    "OptInRequired": (401, "You are not subscribed to this service."),
    "PendingVerification": (400, "Your account is currently being verified."),
    "RequestExpired": (400, "Request has expired."),
    "RequestLimitExceeded": (503, "Request limit exceeded."),
    "ServiceUnavailable": (503, "The service is unavailable. Please try again shortly."),
    "UnauthorizedOperation": (403, "You are not authorized to perform this operation."),
    "Unavailable": (503, "The server is overloaded and can't handle the request."),
    "VcpuLimitExceeded": (
        400,
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance "
        "bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    ),
    "VolumeLimitExceeded": (400, "You have exceeded the maximum gp3 storage limit in this region."),
}
"""Status and message of EC2's errors (API reference, "Error codes"), for a rule that does not say them."""


@dataclass(frozen=True)
class Fault:
    """A rule: which requests it is for, and what goes wrong with them.

    ``where`` are patterns, as of file names, for names of parameters and their values. The first ``skip``
    requests go well, then ``times`` go wrong, or all if that is 0, each with the probability ``chance``.
    """

    kind: Kind
    action: str = "*"
    where: tuple[tuple[str, str], ...] = ()
    skip: int = 0
    times: int = 1
    chance: float = 1.0
    seed: int = 0
    code: str = ""
    status: int = 0
    message: str = ""
    seconds: float = 0.0
    notice: float = 120.0
    count: int = 0
    id: str = ""

    def is_for(self, action: str, parameters: Mapping[str, str]) -> bool:
        """Whether the request is one of those that the rule is for; metadata only if its action says so."""
        if (action == METADATA) != (self.action == METADATA):
            return False  # nodes ask all the time, and would use up a rule with a pattern
        return fnmatchcase(action, self.action) and all(
            any(fnmatchcase(key, name) and fnmatchcase(seen, value) for key, seen in parameters.items())
            for name, value in self.where
        )

    @property
    def refuses_for_capacity(self) -> bool:
        """Whether launches that the rule is for find too few instances."""
        return self.kind is Kind.CAPACITY or (self.kind is Kind.ERROR and self.code == NO_CAPACITY)

    def error(self) -> tuple[str, int, str]:
        """The code, the status and the message of the error."""
        code = self.code or "InternalError"
        status, message = ERRORS.get(code, (400, "The request was refused by a rule of the local cloud."))
        return code, self.status or status, self.message or message
