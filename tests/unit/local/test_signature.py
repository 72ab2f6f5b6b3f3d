"""Signatures: what the client signs is verified, and any change to it is noticed."""

from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.local.credentials import Credentials
from dask_bake.local.signature import (
    SignatureError,
    check_key,
    check_signature,
    proof,
    read_authorization,
    signed_headers,
)
from isolation import KEY_PAIR

URL = "http://127.0.0.1:5000/a%20path?list=&name=x"
BODY = b"Action=DescribeInstances"
OTHER = Credentials("LOCALCLOUD0000000000", "a guess")


def sent(key: Credentials = KEY_PAIR, body: bytes = BODY) -> dict[str, str]:
    """Return a signed request as a WSGI server passes it on."""
    headers = signed_headers(key, "POST", URL, body, service="ec2")
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return {
        "HTTP_HOST": "127.0.0.1:5000",
        "REQUEST_METHOD": "POST",
        "RAW_URI": URL.removeprefix("http://127.0.0.1:5000"),
        **environ,
    }


def verify(environ, body: bytes = BODY, *, late: timedelta = timedelta()) -> None:
    authorization = read_authorization(environ["HTTP_AUTHORIZATION"])
    assert authorization is not None
    check_signature(KEY_PAIR, environ, authorization, body, now=datetime.now(UTC) + late)


def test_a_request_with_the_key_pair_is_verified():
    verify(sent())


@pytest.mark.parametrize(
    "change",
    [
        {"RAW_URI": "/another"},
        {"RAW_URI": "/a%20path?list=&name=y"},
        {"REQUEST_METHOD": "GET"},
        {"HTTP_HOST": "localhost:5000"},
        {"HTTP_X_AMZ_NONCE": "used again"},
        {"HTTP_X_AMZ_TARGET": "not signed"},
    ],
    ids=str,
)
def test_a_changed_request_is_refused(change):
    with pytest.raises(SignatureError) as caught:
        verify({**sent(), **change})

    assert caught.value.code == "SignatureDoesNotMatch"


def test_a_changed_body_is_refused():
    with pytest.raises(SignatureError) as caught:
        verify(sent(), b"Action=TerminateInstances")

    assert caught.value.code == "SignatureDoesNotMatch"


def test_a_secret_key_that_is_guessed_does_not_match():
    guessed = Credentials(KEY_PAIR.access_key, "a guess")

    with pytest.raises(SignatureError) as caught:
        verify(sent(guessed))
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("late", [timedelta(hours=1), timedelta(hours=-1)])
def test_an_old_signature_is_refused(late):
    with pytest.raises(SignatureError) as caught:
        verify(sent(), late=late)

    assert caught.value.code == "RequestTimeTooSkewed"


def test_another_access_key_is_refused_by_itself():
    authorization = read_authorization(sent(OTHER)["HTTP_AUTHORIZATION"])

    with pytest.raises(SignatureError) as caught:
        check_key(KEY_PAIR, authorization)
    assert caught.value.code == "InvalidAccessKeyId"


@pytest.mark.parametrize("header", ["", "Basic abc", "AWS key:signature", "AWS4-HMAC-SHA256 Credential=x"])
def test_other_ways_to_sign_are_none(header):
    assert read_authorization(header) is None


def test_no_two_requests_are_the_same_so_that_no_response_is_good_for_another():
    first, second = sent()["HTTP_AUTHORIZATION"], sent()["HTTP_AUTHORIZATION"]

    assert first != second
    assert proof(KEY_PAIR, first, b"answer") != proof(KEY_PAIR, second, b"answer")
    assert proof(KEY_PAIR, first, b"answer") != proof(OTHER, first, b"answer")
