"""Retries of EC2 requests: which errors, the limits, and the backoff."""

from contextlib import suppress
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from dask_bake.ec2.errors import translated
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.errors import BakeError, NotAwsResponseError
from dask_bake.events import Note
from fakes import FakeClock

ANSWER = {"ResponseMetadata": {"RequestId": "1"}}
DROPPED = ConnectionClosedError(endpoint_url="http://x")


def refusal(code: str, message: str = "why", status: int = 400) -> ClientError:
    error = {"Code": code, "Message": message}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, "Some")


class Request:
    """A request whose first ``times`` attempts fail; every attempt fails if it is ``None``."""

    def __init__(self, error, times=None):
        self.error, self.times, self.tries = error, times, 0

    def __call__(self):
        self.tries += 1
        if self.times is None or self.tries <= self.times:
            if isinstance(self.error, dict):
                return self.error
            raise self.error
        return ANSWER


def retried(operation, request, jitter=lambda: 1.0):
    events, clock = [], FakeClock()
    retries = RetryPolicy(events.append, clock, clock.sleep, jitter)
    try:
        return retries.make(operation, request), clock.now - 100, events
    except (ClientError, ConnectionClosedError, ReadTimeoutError, NotAwsResponseError) as error:
        return error, clock.now - 100, events


@pytest.mark.parametrize(
    "code",
    [
        "InsufficientInstanceCapacity",
        "VcpuLimitExceeded",
        "UnauthorizedOperation",
        "ExpiredToken",
        "InvalidParameterValue",
        "IdempotentParameterMismatch",
    ],
)
def test_a_permanent_refusal_is_not_retried(code):
    request = Request(refusal(code))

    assert retried("RunInstances", request) == (request.error, 0, [])
    assert request.tries == 1


@pytest.mark.parametrize(
    ("operation", "error", "tries"),
    [
        ("RunInstances", refusal("RequestLimitExceeded"), 8),
        ("TerminateInstances", refusal("RequestLimitExceeded"), 8),
        ("DescribeInstances", refusal("Throttling"), 8),
        ("RunInstances", refusal("InternalError", status=500), 4),
        ("RunInstances", refusal("InternalFailure", status=500), 4),
        ("RunInstances", refusal("InsufficientInstanceCapacity", status=500), 1),
        ("DeleteSecurityGroup", refusal("InvalidGroup.NotFound"), 1),
    ],
)
def test_attempts_have_a_limit(operation, error, tries):
    request = Request(error)

    assert retried(operation, request)[0] is error
    assert request.tries == tries


@pytest.mark.parametrize(
    ("operation", "error", "least"),
    [
        ("RunInstances", DROPPED, 120),
        ("CreateSecurityGroup", ReadTimeoutError(endpoint_url="http://x"), 120),
        ("DescribeInstances", DROPPED, 10),
        ("AuthorizeSecurityGroupIngress", refusal("InvalidGroup.NotFound"), 30),
        (
            "RunInstances",
            refusal("InvalidParameterValue", "Value (s3) for parameter iamInstanceProfile.name is invalid."),
            60,
        ),
    ],
)
def test_retries_have_a_time_limit(operation, error, least):
    raised, seconds, _ = retried(operation, Request(error))

    assert raised is error
    assert least <= seconds <= least + 20


@pytest.mark.parametrize(
    "error",
    [
        DROPPED,
        EndpointConnectionError(endpoint_url="http://x"),
        ResponseParserError("half"),
        {"ResponseMetadata": {"HTTPStatusCode": 200}},
        refusal("502", status=502),
    ],
)
def test_a_request_without_a_response_from_aws_is_retried(error):
    request = Request(error, times=3)

    assert retried("RunInstances", request)[0] == ANSWER
    assert request.tries == 4


def test_a_response_from_elsewhere_is_an_error():
    raised, _, _ = retried("DescribeInstances", Request({"ResponseMetadata": {"HTTPStatusCode": 200}}))

    assert str(raised) == "DescribeInstances: the response did not come from EC2"


def test_pauses_are_random_up_to_a_limit_that_grows_to_20_seconds():
    _, seconds, _ = retried("RunInstances", Request(refusal("RequestLimitExceeded")))
    assert seconds == 1 + 2 + 4 + 8 + 16 + 20 + 20

    _, seconds, _ = retried("RunInstances", Request(refusal("RequestLimitExceeded")), jitter=lambda: 0.25)
    assert seconds == (1 + 2 + 4 + 8 + 16 + 20 + 20) / 4


class Clock(FakeClock):
    """Records when each note was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = []

    def hear(self, note: Note) -> None:
        self.notes.append((self.now - 100, note.text))


def notes_of(operation, request, jitter=1.0):
    clock = Clock()
    with suppress(ClientError, ConnectionClosedError):
        RetryPolicy(clock.hear, clock, clock.sleep, lambda: jitter).make(operation, request)
    return clock.notes


@pytest.mark.parametrize("jitter", [1.0, 0.9, 0.5])
def test_throttling_is_noted_after_5_seconds_also_within_a_pause(jitter):
    throttled = refusal("RequestLimitExceeded")
    assert notes_of("RunInstances", Request(throttled, times=2), jitter) == []

    assert notes_of("RunInstances", Request(throttled, times=5), jitter) == [
        (5.0, "AWS is throttling RunInstances: retrying, more slowly.")
    ]


@pytest.mark.parametrize(
    ("operation", "error", "note"),
    [
        (
            "CreateSecurityGroup",
            refusal("InternalError", status=500),
            "AWS fails at CreateSecurityGroup: retrying.",
        ),
        ("RunInstances", DROPPED, "AWS does not respond to RunInstances: retrying."),
        (
            "AuthorizeSecurityGroupIngress",
            refusal("InvalidGroup.NotFound"),
            "AWS does not list yet what it has just created: retrying AuthorizeSecurityGroupIngress.",
        ),
        (
            "RunInstances",
            refusal("InvalidParameterValue", "iamInstanceProfile.name is invalid"),
            "AWS does not know the instance profile yet: retrying RunInstances.",
        ),
    ],
)
def test_a_failure_is_noted_after_5_seconds_and_once_a_minute(operation, error, note):
    notes = notes_of(operation, Request(error))

    assert notes[0] == (5.0, note)
    assert {text for _, text in notes} == {notes[0][1]}
    times = [seconds for seconds, _ in notes]
    assert all(later - earlier >= 60 for earlier, later in pairwise(times))


@pytest.mark.parametrize("earlier", [DROPPED, refusal("InternalError", status=500)])
def test_a_refusal_after_an_attempt_of_unknown_outcome_may_have_happened(earlier):
    errors = [earlier, refusal("ExpiredToken")]

    def call():
        raise errors.pop(0)

    clock = FakeClock()
    with pytest.raises(BakeError, match="ExpiredToken") as caught, translated("CreateSecurityGroup"):
        RetryPolicy([].append, clock, clock.sleep).make("CreateSecurityGroup", call)

    assert caught.value.may_have_happened


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestLimitExceeded"])
def test_a_refusal_alone_has_not_happened(code):
    clock = FakeClock()
    with pytest.raises(BakeError) as caught, translated("CreateSecurityGroup"):
        RetryPolicy([].append, clock, clock.sleep).make("CreateSecurityGroup", Request(refusal(code)))

    assert not caught.value.may_have_happened


def test_each_failure_has_its_own_note():
    class Both:
        def __init__(self):
            self.errors = [*[refusal("RequestLimitExceeded")] * 4, *[DROPPED] * 4]

        def __call__(self):
            if not self.errors:
                return ANSWER
            raise self.errors.pop(0)

    assert [text.split(" RunInstances")[0] for _, text in notes_of("RunInstances", Both())] == [
        "AWS is throttling",
        "AWS does not respond to",
    ]
