"""Retry policy for EC2 requests: which errors, how long, how much backoff; client tokens are reused."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError

from dask_bake.ec2.errors import EARLIER_ATTEMPT, THROTTLED, code_of, is_fault
from dask_bake.errors import BakeError, NotAwsResponseError
from dask_bake.events import Note, Notify

READ_ONLY = ("Describe", "Get", "List")
"""Prefixes of operations that create and change nothing."""
NOTE_AFTER = 5.0
"""Seconds of one failure before the user reads a note about it."""
NOTE_INTERVAL = 60.0
"""Seconds between two notes about the same failure."""
LONGEST_PAUSE = 20.0
"""Seconds."""
EVENTUALLY_CONSISTENT: Mapping[str, tuple[str, ...]] = {
    "AuthorizeSecurityGroupIngress": ("InvalidGroup.NotFound", "InvalidGroupId.NotFound"),
    "RunInstances": ("InvalidGroup.NotFound", "InvalidGroupId.NotFound", "InvalidKeyPair.NotFound"),
}
"""Error codes, by operation, for a resource that EC2 has created and does not list yet."""
NO_RESPONSE = (AwsConnectionError, HTTPClientError, ResponseParserError, NotAwsResponseError)
"""Exceptions that mean that AWS has not responded."""


class Failure(StrEnum):
    """A reason why a request failed."""

    THROTTLED = "throttled"
    FAULT = "fault"
    NOT_LISTED_YET = "not listed yet"
    NEW_PROFILE = "new profile"
    NO_RESPONSE = "no response"
    PERMANENT = "permanent"


ATTEMPTS = {Failure.THROTTLED: 8, Failure.FAULT: 4, Failure.PERMANENT: 1}
"""The most attempts, the first one included."""
SECONDS = {Failure.NOT_LISTED_YET: 30.0, Failure.NEW_PROFILE: 60.0, Failure.NO_RESPONSE: 120.0}
"""Seconds for which a request is retried."""
SECONDS_READ_ONLY = 10.0
"""The same for a read-only request without a response, so that a missing network is reported soon."""
NOTES = {
    Failure.THROTTLED: "AWS is throttling {}: retrying, more slowly.",
    Failure.FAULT: "AWS fails at {}: retrying.",
    Failure.NOT_LISTED_YET: "AWS does not list yet what it has just created: retrying {}.",
    Failure.NEW_PROFILE: "AWS does not know the instance profile yet: retrying {}.",
    Failure.NO_RESPONSE: "AWS does not respond to {}: retrying.",
}


def classify(operation: str, error: BaseException) -> Failure:
    """Classify an error of a request."""
    if isinstance(error, NO_RESPONSE):
        return Failure.NO_RESPONSE
    code = code_of(error)
    if code in THROTTLED:
        return Failure.THROTTLED
    if is_fault(error):
        return Failure.FAULT
    if code in EVENTUALLY_CONSISTENT.get(operation, ()):
        return Failure.NOT_LISTED_YET
    if operation == "RunInstances" and "iaminstanceprofile" in str(error).lower():
        return Failure.NEW_PROFILE if code == "InvalidParameterValue" else Failure.PERMANENT
    return Failure.PERMANENT


def should_retry(operation: str, failure: Failure, *, attempts: int, seconds: float) -> bool:
    """Return whether to make the request again, after so many attempts and seconds of this failure."""
    if failure in ATTEMPTS:
        return attempts < ATTEMPTS[failure]
    if failure is Failure.NO_RESPONSE and operation.startswith(READ_ONLY):
        return seconds < SECONDS_READ_ONLY
    return seconds < SECONDS[failure]


def backoff(attempts: int) -> float:
    """Return the longest pause after so many attempts; a random part of it keeps clients apart."""
    return min(LONGEST_PAUSE, 2.0 ** (attempts - 1))


@dataclass
class RetryPolicy:
    """Makes requests, each until it succeeds or a retry cannot help.

    Args:
        jitter: a random number between 0 and 1.
    """

    notify: Notify
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    _noted: dict[Failure, float] = field(default_factory=dict)

    def apply(self, **event: Any) -> None:
        """Add the retry policy to a botocore client class (botocore's event ``creating-client-class``)."""
        policy = self

        class RetryingClient:
            def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
                make, given = super()._make_api_call, dict(parameters)  # type: ignore[misc]

                def call() -> dict[str, Any]:
                    # Botocore adds a client token where there is none, which the retry keeps, and encodes
                    # user-data in place, which is undone: it would be encoded twice.
                    parameters.update(given)
                    response: dict[str, Any] = make(operation, parameters)
                    return response

                return policy.make(operation, call)

        event["base_classes"].insert(0, RetryingClient)

    def make(self, operation: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make a request and return the response.

        Raises:
            Exception: the error of the last attempt.
        """
        began: dict[Failure, float] = {}
        attempts: Counter[Failure] = Counter()
        while True:
            try:
                return checked(operation, call())
            except (ClientError, *NO_RESPONSE) as error:
                failure = classify(operation, error)
                attempts[failure] += 1
                seconds = self.clock() - began.setdefault(failure, self.clock())
                if not should_retry(operation, failure, attempts=attempts[failure], seconds=seconds):
                    if attempts[Failure.NO_RESPONSE] or attempts[Failure.FAULT]:
                        error.add_note(EARLIER_ATTEMPT)
                    raise
            except BakeError as error:  # credentials that could not be refreshed
                error.may_have_happened |= bool(attempts[Failure.NO_RESPONSE] or attempts[Failure.FAULT])
                raise
            self._pause(operation, failure, seconds, self.jitter() * backoff(attempts[failure]))

    def _pause(self, operation: str, failure: Failure, seconds: float, pause: float) -> None:
        """Sleep, with a note in the middle if the failure has then lasted long enough for one."""
        if seconds + pause >= NOTE_AFTER:
            quiet = max(0.0, NOTE_AFTER - seconds)
            self.sleep(quiet)
            self._note(operation, failure)
            pause -= quiet
        self.sleep(pause)

    def _note(self, operation: str, failure: Failure) -> None:
        """Send a note, at most one a minute for each failure however many requests have it."""
        if self.clock() - self._noted.get(failure, float("-inf")) >= NOTE_INTERVAL:
            self._noted[failure] = self.clock()
            self.notify(Note(NOTES[failure].format(operation)))


def checked(operation: str, response: dict[str, Any]) -> dict[str, Any]:
    """Return the response if it is from AWS: each of those has a request id.

    Raises:
        NotAwsResponseError: when it is from something else, such as a proxy or a login page.
    """
    if "RequestId" not in response.get("ResponseMetadata", {}):
        raise NotAwsResponseError(
            f"{operation}: the response did not come from EC2", hint="is a proxy or a login page in the way?"
        )
    return response
