"""Fault kinds, and the description of one fault: what fails, for which requests, how often."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class FaultKind(StrEnum):
    """The kind of a fault."""

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
    FaultKind.ERROR: "the request is refused, with --code, --status and --message",
    FaultKind.DELAY: "the request is answered --seconds later",
    FaultKind.DROP_BEFORE: "the connection is closed, and nothing was done",
    FaultKind.DROP_AFTER: "the request is carried out, and the connection closed without an answer",
    FaultKind.TRUNCATE: "the request is carried out, and half of the answer sent",
    FaultKind.HTML: "the answer is a page of HTML with status 200, and nothing was done",
    FaultKind.CAPACITY: "there is capacity for --count instances only",
    FaultKind.UNSEEN: "new instances are not found for --seconds",
    FaultKind.PENDING: "new instances stay pending",
    FaultKind.TERMINATED: "instances are terminated after --seconds, with --code as the reason",
    FaultKind.UNHEALTHY: "new instances boot, fail their checks, and get no metadata",
    FaultKind.SPOT_NOTICE: "after --seconds, instances get a notice that they end --notice seconds later",
    FaultKind.CUT: "instances are cut off from the network for --seconds; 0: until all rules are removed",
}
FOR_RUNNING_INSTANCES = frozenset(
    {FaultKind.TERMINATED, FaultKind.UNHEALTHY, FaultKind.SPOT_NOTICE, FaultKind.CUT}
)
"""Kinds that can be applied to a running instance."""
FOR_INSTANCES = frozenset({FaultKind.UNSEEN, FaultKind.PENDING}) | FOR_RUNNING_INSTANCES
"""Kinds that affect the instances of a launch; the launch itself succeeds."""
RESPONSE_FAULTS = frozenset(
    {FaultKind.ERROR, FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER, FaultKind.TRUNCATE, FaultKind.HTML},
)
"""Kinds that decide the response, of which a request can have one."""
NO_CAPACITY = "InsufficientInstanceCapacity"
METADATA = "Metadata"
"""The action of requests to the instance metadata service."""

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
"""Status and message of EC2's errors (API reference, "Error codes"), for a fault that gives none."""


@dataclass(frozen=True)
class Fault:
    """A fault, and the requests that it is for.

    ``where`` are patterns, as of file names, for names of parameters and their values. The first ``skip``
    requests succeed, then ``times`` fail, or all if that is 0, each with the probability ``chance``.
    """

    kind: FaultKind
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

    def matches(self, action: str, parameters: Mapping[str, str]) -> bool:
        """Return whether the fault is for the request; metadata requests match by exact action alone."""
        if (action == METADATA) != (self.action == METADATA):
            return False  # nodes read metadata all the time, and would use up a rule with a pattern
        return fnmatchcase(action, self.action) and all(
            any(fnmatchcase(key, name) and fnmatchcase(seen, value) for key, seen in parameters.items())
            for name, value in self.where
        )

    @property
    def limits_capacity(self) -> bool:
        """Return whether launches that the fault is for find too little capacity."""
        return self.kind is FaultKind.CAPACITY or (self.kind is FaultKind.ERROR and self.code == NO_CAPACITY)

    def error(self) -> tuple[str, int, str]:
        """Return the code, the status and the message of the error."""
        code = self.code or "InternalError"
        status, message = ERRORS.get(code, (400, "The request was refused by a rule of the local cloud."))
        return code, self.status or status, self.message or message
