"""The policy of the nodes' role."""

import json

import pytest

from dask_bake.cli.main import run
from dask_bake.errors import UsageError
from dask_bake.iam.role import RoleExtra, role_policy
from dask_bake.local.iam.policies import decision

READ, WRITE = (RoleExtra.S3_READ,), (RoleExtra.S3_READ, RoleExtra.S3_WRITE)


def test_a_role_lists_a_bucket_and_reads_its_objects():
    assert role_policy(READ, ["rides"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::rides"]},
            {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::rides/*"]},
        ],
    }


@pytest.mark.parametrize("place", ["rides/2015/csv", "s3://rides/2015/csv/"])
def test_a_folder_limits_lists_and_objects(place):
    policies = [role_policy(READ, [place])]

    def allows(action, resource, prefix=""):
        context = {"s3:prefix": prefix, "s3:delimiter": "/"}
        return decision(policies, f"s3:{action}", f"arn:aws:s3:::{resource}", context)

    assert allows("GetObject", "rides/2015/csv/a")
    assert allows("GetObject", "rides/2015/csv")
    assert not allows("GetObject", "rides/2015/csvs")
    assert allows("ListBucket", "rides", "2015/csv")
    assert allows("ListBucket", "rides", "2015/csv/")
    assert not allows("ListBucket", "rides", "")
    assert not allows("ListBucket", "rides", "2015/")
    assert not allows("PutObject", "rides/2015/csv/a")


def test_a_role_that_writes_removes_what_it_replaces():
    objects = role_policy(WRITE, ["rides", "rides"])["Statement"][1]

    assert objects["Action"] == ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]


@pytest.mark.parametrize("place", ["", "s3://", "/a", "A", "ab", "a..b", "a_b", "*", "b" * 64])
def test_what_is_no_bucket_is_refused(place):
    with pytest.raises(UsageError, match="is not a bucket"):
        role_policy(READ, [place])


@pytest.mark.parametrize("prefix", ["*", "a?", "${aws:username}", "a b"])
def test_a_prefix_is_no_pattern(prefix):
    with pytest.raises(UsageError, match="a prefix cannot contain"):
        role_policy(READ, [f"rides/{prefix}"])


def test_the_command_prints_the_role_s_policy_alone(capsys):
    assert run(["iam-policy", "--with", "s3-read", "rides", "--with", "s3-write"]) == 0

    assert json.loads(capsys.readouterr().out) == role_policy(WRITE, ["rides"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--with", "s3-read"], "--with s3-read requires the name of a bucket"),
        (["--with", "s3-read", "--with", "spot", "rides"], "--with spot is for whoever launches"),
        (["rides"], "unexpected argument rides"),
    ],
)
def test_a_role_s_policy_needs_a_bucket_and_no_other_option(capsys, words, message):
    assert run(["iam-policy", *words]) == 2

    assert message in capsys.readouterr().err
