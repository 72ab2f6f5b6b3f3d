"""Translation of AWS errors into errors for users."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from dask_bake.ec2.errors import translated
from dask_bake.errors import BakeError, OutcomeUnknownError


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("ExpiredToken", "AWS does not accept the credentials: why"),
        ("AuthFailure", "AWS does not accept the credentials: why"),
        ("UnauthorizedOperation", "these AWS credentials may not call ec2:DescribeInstanceTypes"),
        ("VcpuLimitExceeded", "the account's quota is too small: why"),
        ("RequestLimitExceeded", "AWS is throttling DescribeInstanceTypes: why"),
        ("SecurityGroupLimitExceeded", "why"),
        ("SomethingElse", r"DescribeInstanceTypes failed: why \(SomethingElse\)"),
    ],
)
def test_a_refusal_by_aws_is_an_error_with_a_hint(code, sentence):
    error = {"Code": code, "Message": "why Encoded authorization failure message: AAAA"}

    with pytest.raises(BakeError, match=sentence) as caught, translated("DescribeInstanceTypes"):
        raise ClientError({"Error": error}, "DescribeInstanceTypes")

    assert "AAAA" not in caught.value.message
    assert caught.value.hint or code == "SomethingElse"


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (NoCredentialsError(), BakeError, "there are no usable AWS credentials"),
        (ResponseParserError("<html>"), BakeError, "did not come from EC2"),
        (EndpointConnectionError(endpoint_url="http://x"), OutcomeUnknownError, "could not be reached"),
        (ReadTimeoutError(endpoint_url="http://x"), OutcomeUnknownError, "could not be reached"),
    ],
)
def test_every_exception_of_botocore_is_translated(error, kind, sentence):
    with pytest.raises(kind, match=sentence), translated("DescribeImages"):
        raise error
