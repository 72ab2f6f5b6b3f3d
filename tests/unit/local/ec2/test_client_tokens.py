"""Client tokens: a retry repeats the response, and a token is good for one request."""

import pytest
from werkzeug.wrappers import Response

from dask_bake.local.ec2.client_tokens import ClientTokens
from dask_bake.local.query_protocol import Refusal, Request


class Operation:
    """Operation that counts how often it was carried out."""

    def __init__(self, *statuses: int) -> None:
        self.done, self._statuses = 0, list(statuses)

    def __call__(self) -> Response:
        self.done += 1
        return Response(str(self.done), status=self._statuses.pop(0) if self._statuses else 200)


def a_request(token: str = "t-1", region: str = "us-east-1", **parameters: str) -> Request:
    return Request("RunInstances", region, {"ClientToken": token, **parameters})


def test_a_retry_repeats_the_response_and_does_nothing():
    tokens, operation = ClientTokens(), Operation()
    answers = [tokens.once(a_request(), operation).get_data() for _ in range(2)]

    assert (answers, operation.done) == ([b"1", b"1"], 1)


def test_a_token_with_other_parameters_is_refused():
    tokens, operation = ClientTokens(), Operation()
    tokens.once(a_request(MinCount="1"), operation)

    with pytest.raises(Refusal) as caught:
        tokens.once(a_request(MinCount="2"), operation)
    assert (caught.value.code, operation.done) == ("IdempotentParameterMismatch", 1)


def test_a_token_is_unique_within_its_region_and_scope():
    tokens, operation = ClientTokens(), Operation()
    tokens.once(a_request(), operation, scope="us-east-1a")
    tokens.once(a_request(), operation, scope="us-east-1b")
    tokens.once(a_request(region="eu-west-1"), operation, scope="us-east-1a")

    assert operation.done == 3


def test_a_failed_request_can_be_repeated_with_its_token():
    tokens, operation = ClientTokens(), Operation(503)

    assert [tokens.once(a_request(), operation).status_code for _ in range(2)] == [503, 200]


def test_requests_without_a_token_are_all_carried_out():
    tokens, operation = ClientTokens(), Operation()
    for _ in range(2):
        tokens.once(a_request(token=""), operation)

    assert operation.done == 2
