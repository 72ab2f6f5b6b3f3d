"""Which requests to EC2 are made again, the same to the token, how long, and after which pause."""

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

from dask_bake.ec2.errors import DOUBT, THROTTLED, code_of, is_fault
from dask_bake.errors import ForeignAnswerError
from dask_bake.events import Note, Notify

ASKING = ("Describe", "Get", "List")
"""How requests begin that make nothing."""
TELL_AFTER = 5.0
"""Seconds of one trouble before a user is told."""
SLOWEST = 20.0
"""Seconds that no pause exceeds."""
NOT_KNOWN_YET: Mapping[str, tuple[str, ...]] = {
    "AuthorizeSecurityGroupIngress": ("InvalidGroup.NotFound", "InvalidGroupId.NotFound"),
    "RunInstances": ("InvalidGroup.NotFound", "InvalidGroupId.NotFound", "InvalidKeyPair.NotFound"),
}
"""What EC2 may deny for a while though it has just made it."""


SILENCE = (AwsConnectionError, HTTPClientError, ResponseParserError, ForeignAnswerError)
"""What is raised where AWS has not said anything."""


class Trouble(StrEnum):
    """Why a request did not succeed."""

    THROTTLED = "throttled"
    FAULT = "fault"
    NOT_KNOWN_YET = "not known yet"
    NEW_PROFILE = "new profile"
    NO_ANSWER = "no answer"
    NO_CURE = "no cure"


TRIES = {Trouble.THROTTLED: 8, Trouble.FAULT: 4, Trouble.NO_CURE: 1}
"""How often a request is made in all."""
SECONDS = {Trouble.NOT_KNOWN_YET: 30.0, Trouble.NEW_PROFILE: 60.0, Trouble.NO_ANSWER: 120.0}
"""How long a request is made again."""
TOLD = {
    Trouble.THROTTLED: "AWS is throttling {}: it is asked for again, and more slowly.",
    Trouble.FAULT: "AWS fails at {}: it is asked for again.",
    Trouble.NOT_KNOWN_YET: "AWS does not know yet what it has just made: {} is asked for again.",
    Trouble.NEW_PROFILE: "AWS does not know the instance profile yet: {} is asked for again.",
    Trouble.NO_ANSWER: "AWS does not answer {}: it is asked for again.",
}
SECONDS_OF_A_QUESTION = 10.0
"""The same where there is no answer to a request that makes nothing: a network that is gone is told soon."""


def trouble_with(operation: str, error: BaseException) -> Trouble:
    """What is to be thought of the error."""
    if isinstance(error, SILENCE):
        return Trouble.NO_ANSWER
    code = code_of(error)
    if code in THROTTLED:
        return Trouble.THROTTLED
    if is_fault(error):
        return Trouble.FAULT
    if code in NOT_KNOWN_YET.get(operation, ()):
        return Trouble.NOT_KNOWN_YET
    if operation == "RunInstances" and "iaminstanceprofile" in str(error).lower():
        return Trouble.NEW_PROFILE if code == "InvalidParameterValue" else Trouble.NO_CURE
    return Trouble.NO_CURE


def is_worth_another(operation: str, trouble: Trouble, *, tries: int, seconds: float) -> bool:
    """Whether the request is made once more, after so many tries in so many seconds of this trouble."""
    if trouble in TRIES:
        return tries < TRIES[trouble]
    if trouble is Trouble.NO_ANSWER and operation.startswith(ASKING):
        return seconds < SECONDS_OF_A_QUESTION
    return seconds < SECONDS[trouble]


def longest_pause(tries: int) -> float:
    """The pause after so many tries is anything up to this, so that many clients do not come at once."""
    return min(SLOWEST, 2.0 ** (tries - 1))


@dataclass
class Insistence:
    """Makes requests, each until it succeeds or there is no use.

    Args:
        chance: a random number between 0 and 1.
    """

    notify: Notify
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    _told: dict[Trouble, float] = field(default_factory=dict)

    def join(self, **about: Any) -> None:
        """Makes a class of botocore's clients insist (its event ``creating-client-class``)."""
        insistence = self

        class Insisting:
            def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
                make, given = super()._make_api_call, dict(parameters)  # type: ignore[misc]

                def call() -> dict[str, Any]:
                    # Botocore puts a token into it where there is none, which stays, and encodes user-data
                    # where it is, which is undone: it would be encoded once more.
                    parameters.update(given)
                    answer: dict[str, Any] = make(operation, parameters)
                    return answer

                return insistence.make(operation, call)

        about["base_classes"].insert(0, Insisting)

    def make(self, operation: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer.

        Raises:
            Exception: what the last try raised.
        """
        began: dict[Trouble, float] = {}
        tries: Counter[Trouble] = Counter()
        while True:
            try:
                return checked(operation, call())
            except (ClientError, *SILENCE) as error:
                trouble = trouble_with(operation, error)
                tries[trouble] += 1
                seconds = self.clock() - began.setdefault(trouble, self.clock())
                if not is_worth_another(operation, trouble, tries=tries[trouble], seconds=seconds):
                    if tries[Trouble.NO_ANSWER] or tries[Trouble.FAULT]:
                        error.add_note(DOUBT)
                    raise
            self._pause(operation, trouble, seconds, self.chance() * longest_pause(tries[trouble]))

    def _pause(self, operation: str, trouble: Trouble, seconds: float, pause: float) -> None:
        """Waits, and tells of a trouble as soon as it has lasted so long."""
        if seconds + pause >= TELL_AFTER:
            quiet = max(0.0, TELL_AFTER - seconds)
            self.sleep(quiet)
            self._tell(operation, trouble)
            pause -= quiet
        self.sleep(pause)

    def _tell(self, operation: str, trouble: Trouble) -> None:
        """Of each trouble at most once a minute, whatever number of requests it is."""
        if self.clock() - self._told.get(trouble, float("-inf")) >= 60:
            self._told[trouble] = self.clock()
            self.notify(Note(TOLD[trouble].format(operation)))


def checked(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it is one of AWS's, each of which has a number.

    Raises:
        ForeignAnswerError: when somebody else has answered, such as a proxy or a login page.
    """
    if "RequestId" not in answer.get("ResponseMetadata", {}):
        raise ForeignAnswerError(
            f"{operation}: the answer did not come from EC2", hint="is a proxy or a login page in the way?"
        )
    return answer
