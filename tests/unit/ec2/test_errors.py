"""Translation of AWS errors into errors for users."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from dask_bake.ec2.errors import refusal, translated
from dask_bake.errors import BakeError, OutcomeUnknownError


@pytest.mark.parametrize(
    ("code", "message"),
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
def test_a_refusal_by_aws_is_an_error_with_a_hint(code, message):
    error = {"Code": code, "Message": "why Encoded authorization failure message: AAAA"}

    with pytest.raises(BakeError, match=message) as caught, translated("DescribeInstanceTypes"):
        raise ClientError({"Error": error}, "DescribeInstanceTypes")

    assert "AAAA" not in caught.value.message
    assert caught.value.hint or code == "SomethingElse"


@pytest.mark.parametrize(("code", "names_region"), [("AuthFailure", True), ("ExpiredToken", False)])
def test_credentials_that_a_region_does_not_know_may_need_the_region_enabled(code, names_region):
    assert (
        "aws account enable-region" in (refusal("DescribeImages", code, "why").hint or "")
    ) is names_region


NOT_ALLOWED = "User: arn:aws:iam::1:user/x is not authorized to perform: ec2:RunInstances on resource: arn:x"


@pytest.mark.parametrize(
    ("end", "hint"),
    [
        ("with an explicit deny in a service control policy", "the organization forbids it"),
        (
            "because no service control policy allows the ec2:RunInstances action",
            "the organization forbids it",
        ),
        ("with an explicit deny in a permissions boundary", "permissions boundary of this user or role"),
        (
            "because no permissions boundary allows the ec2:RunInstances action",
            "permissions boundary of this",
        ),
        ("because no session policy allows the ec2:RunInstances action", "without one, or with a wider one"),
        ("because no VPC endpoint policy allows the ec2:RunInstances action", "those who manage the VPC"),
        ("with an explicit deny in an identity-based policy", "a Deny for it, which no Allow overrides"),
        ("with an explicit deny", "dask-bake iam-policy prints the policy"),
        (
            "because no identity-based policy allows the ec2:RunInstances action",
            "dask-bake iam-policy prints",
        ),
        ("", "dask-bake iam-policy prints the policy"),
    ],
)
def test_a_denied_call_has_a_hint_about_the_policy_that_denies_it(end, hint):
    error = refusal("RunInstances", "UnauthorizedOperation", f"{NOT_ALLOWED} {end}.")

    assert "these AWS credentials may not call ec2:RunInstances" in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("SecurityGroupLimitExceeded", "'VPC security groups per Region'"),
        ("RulesPerSecurityGroupLimitExceeded", "'Inbound or outbound rules per security group'"),
        ("SecurityGroupsPerInterfaceLimitExceeded", "'Security groups per network interface'"),
        ("NetworkInterfaceLimitExceeded", "'Network interfaces per Region'"),
        ("KeyPairLimitExceeded", "remove key pairs that nobody uses"),
        ("TagLimitExceeded", "fewer tags"),
        ("PlacementGroupLimitExceeded", "a quota of the account is reached"),
        ("FutureQuotaExceeded", "a quota of the account is reached"),
    ],
)
def test_each_quota_has_a_way_out(code, hint):
    assert hint in (refusal("RunInstances", code, "why").hint or "")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (NoCredentialsError(), BakeError, "there are no usable AWS credentials"),
        (ResponseParserError("<html>"), BakeError, "did not come from EC2"),
        (EndpointConnectionError(endpoint_url="http://x"), OutcomeUnknownError, "could not be reached"),
        (ReadTimeoutError(endpoint_url="http://x"), OutcomeUnknownError, "could not be reached"),
    ],
)
def test_every_exception_of_botocore_is_translated(error, kind, message):
    with pytest.raises(kind, match=message), translated("DescribeImages"):
        raise error


def test_an_endpoint_that_a_variable_names_is_hinted_at(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9/")
    with pytest.raises(OutcomeUnknownError) as caught, translated("DescribeImages"):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9/")
    assert caught.value.hint == "AWS_ENDPOINT_URL_EC2 names that endpoint: correct it, or unset it"
