"""A request is made again where that can help, as often and as long as that is of use, and no other is."""

from contextlib import suppress
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from dask_bake.ec2.errors import translated
from dask_bake.ec2.retry import Insistence
from dask_bake.errors import BakeError, ForeignAnswerError
from dask_bake.events import Note
from fakes import FakeClock

ANSWER = {"ResponseMetadata": {"RequestId": "1"}}
DROPPED = ConnectionClosedError(endpoint_url="http://x")


def refusal(code: str, message: str = "why", status: int = 400) -> ClientError:
    said = {"Code": code, "Message": message}
    return ClientError({"Error": said, "ResponseMetadata": {"HTTPStatusCode": status}}, "Some")


class Asked:
    """A request that fails so, the first so many times; all times if that is none."""

    def __init__(self, error, times=None):
        self.error, self.times, self.tries = error, times, 0

    def __call__(self):
        self.tries += 1
        if self.times is None or self.tries <= self.times:
            if isinstance(self.error, dict):
                return self.error
            raise self.error
        return ANSWER


def insist(operation, asked, chance=lambda: 1.0):
    events, clock = [], FakeClock()
    insistence = Insistence(events.append, clock, clock.sleep, chance)
    try:
        return insistence.make(operation, asked), clock.now - 100, events
    except (ClientError, ConnectionClosedError, ReadTimeoutError, ForeignAnswerError) as error:
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
def test_what_no_second_request_would_change_is_asked_for_once(code):
    asked = Asked(refusal(code))

    assert insist("RunInstances", asked) == (asked.error, 0, [])
    assert asked.tries == 1


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
def test_tries_are_counted(operation, error, tries):
    asked = Asked(error)

    assert insist(operation, asked)[0] is error
    assert asked.tries == tries


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
def test_where_time_is_what_helps_it_has_an_end(operation, error, least):
    raised, seconds, _ = insist(operation, Asked(error))

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
def test_without_an_answer_of_aws_the_request_is_made_again_until_there_is_one(error):
    asked = Asked(error, times=3)

    assert insist("RunInstances", asked)[0] == ANSWER
    assert asked.tries == 4


def test_somebody_elses_answer_is_no_success():
    raised, _, _ = insist("DescribeInstances", Asked({"ResponseMetadata": {"HTTPStatusCode": 200}}))

    assert str(raised) == "DescribeInstances: the answer did not come from EC2"


def test_pauses_are_anything_up_to_a_bound_that_grows_to_20_seconds():
    _, seconds, _ = insist("RunInstances", Asked(refusal("RequestLimitExceeded")))
    assert seconds == 1 + 2 + 4 + 8 + 16 + 20 + 20

    _, seconds, _ = insist("RunInstances", Asked(refusal("RequestLimitExceeded")), chance=lambda: 0.25)
    assert seconds == (1 + 2 + 4 + 8 + 16 + 20 + 20) / 4


class Clock(FakeClock):
    """Notes when it was that something was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = []

    def hear(self, note: Note) -> None:
        self.told.append((self.now - 100, note.text))


def told(operation, asked, chance=1.0):
    clock = Clock()
    with suppress(ClientError, ConnectionClosedError):
        Insistence(clock.hear, clock, clock.sleep, lambda: chance).make(operation, asked)
    return clock.told


@pytest.mark.parametrize("chance", [1.0, 0.9, 0.5])
def test_throttling_is_told_when_it_has_lasted_5_seconds_also_within_a_pause(chance):
    throttled = refusal("RequestLimitExceeded")
    assert told("RunInstances", Asked(throttled, times=2), chance) == []

    assert told("RunInstances", Asked(throttled, times=5), chance) == [
        (5.0, "AWS is throttling RunInstances: it is asked for again, and more slowly.")
    ]


@pytest.mark.parametrize(
    ("operation", "error", "sentence"),
    [
        (
            "CreateSecurityGroup",
            refusal("InternalError", status=500),
            "AWS fails at CreateSecurityGroup: it is",
        ),
        ("RunInstances", DROPPED, "AWS does not answer RunInstances: it is"),
        (
            "AuthorizeSecurityGroupIngress",
            refusal("InvalidGroup.NotFound"),
            "AWS does not know yet what it has just made: AuthorizeSecurityGroupIngress is",
        ),
        (
            "RunInstances",
            refusal("InvalidParameterValue", "iamInstanceProfile.name is invalid"),
            "AWS does not know the instance profile yet: RunInstances is",
        ),
    ],
)
def test_what_is_waited_for_is_told_after_5_seconds_and_once_a_minute(operation, error, sentence):
    said = told(operation, Asked(error))

    assert said[0] == (5.0, f"{sentence} asked for again.")
    assert {text for _, text in said} == {said[0][1]}
    times = [seconds for seconds, _ in said]
    assert all(later - earlier >= 60 for earlier, later in pairwise(times))


@pytest.mark.parametrize("earlier", [DROPPED, refusal("InternalError", status=500)])
def test_a_refusal_after_a_try_without_a_clear_answer_says_that_it_may_be_done(earlier):
    errors = [earlier, refusal("ExpiredToken")]

    def call():
        raise errors.pop(0)

    clock = FakeClock()
    with pytest.raises(BakeError, match="ExpiredToken") as caught, translated("CreateSecurityGroup"):
        Insistence([].append, clock, clock.sleep).make("CreateSecurityGroup", call)

    assert caught.value.may_be_done


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestLimitExceeded"])
def test_a_refusal_alone_says_that_nothing_is_done(code):
    clock = FakeClock()
    with pytest.raises(BakeError) as caught, translated("CreateSecurityGroup"):
        Insistence([].append, clock, clock.sleep).make("CreateSecurityGroup", Asked(refusal(code)))

    assert not caught.value.may_be_done


def test_each_trouble_is_told_by_itself():
    class Both:
        def __init__(self):
            self.errors = [*[refusal("RequestLimitExceeded")] * 4, *[DROPPED] * 4]

        def __call__(self):
            if not self.errors:
                return ANSWER
            raise self.errors.pop(0)

    assert [text.split(" RunInstances")[0] for _, text in told("RunInstances", Both())] == [
        "AWS is throttling",
        "AWS does not answer",
    ]
