"""Which actions policies permit."""

import pytest

from dask_bake.local.iam.policies import decision

BUCKET, KEY = "arn:aws:s3:::b", "arn:aws:s3:::b/k"


def statement(effect="Allow", action="s3:GetObject", resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def decided(*statements, action="s3:GetObject", resource=KEY, **context):
    return decision([{"Statement": list(statements)}], action, resource, context)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], None),
        ([statement()], True),
        ([statement(action="S3:getobject")], True),
        ([statement(action=["s3:List*", "s3:Get*"])], True),
        ([statement(action="*")], True),
        ([statement(action="s3:GetObjec?")], True),
        ([statement(action="s3:GetObjectAcl")], None),
        ([statement(resource="arn:aws:s3:::b/*")], True),
        ([statement(resource=["arn:aws:s3:::a/*", "arn:aws:s3:::b/?"])], True),
        ([statement(resource="arn:aws:s3:::B/*")], None),
        ([statement(resource="arn.aws.s3...b/k")], None),
        ([statement(resource="arn:aws:s3:::b")], None),
        ([statement(), statement("Deny")], False),
        ([statement("Deny", resource="arn:aws:s3:::other/*"), statement()], True),
        ([{"Effect": "Allow", "NotAction": "s3:Put*", "NotResource": "arn:aws:s3:::a/*"}], True),
        ([{"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}], None),
        ([{"Effect": "Allow", "Resource": "*"}], None),
        ([{"Effect": "Allow", "Action": "*"}], None),
    ],
)
def test_an_action_needs_a_statement_that_allows_it_and_none_that_denies_it(statements, expected):
    assert decided(*statements) is expected


def test_a_policy_may_have_one_statement_and_a_role_several_policies():
    one, two = {"Statement": statement(action="s3:PutObject")}, {"Statement": statement()}

    assert decision([one, two], "s3:GetObject", KEY, {}) is True
    assert decision([one], "s3:GetObject", KEY, {}) is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringLike": {"s3:prefix": ["year/*", ""]}}, True),
        ({"StringEquals": {"s3:prefix": "year/a"}}, True),
        ({"StringEquals": {"s3:prefix": "year/*"}}, None),
        ({"StringLike": {"s3:prefix": "month/*"}}, None),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, None),
        ({"StringEquals": {"aws:PrincipalTag/team": "a"}}, None),
    ],
)
def test_the_prefix_of_a_list_is_a_condition_and_an_unknown_one_allows_nothing(condition, expected):
    allowing = statement(action="s3:ListBucket", Condition=condition)
    given = decision(
        [{"Statement": allowing}], "s3:ListBucket", BUCKET, {"s3:prefix": "year/a", "s3:delimiter": ""}
    )

    assert given is expected


def test_an_unknown_condition_denies():
    denying = statement("Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})

    assert decided(statement(), denying) is False
    other = statement("Deny", Condition={"StringLike": {"s3:prefix": "x"}})
    assert decided(statement(), other, **{"s3:prefix": "y"}) is True
