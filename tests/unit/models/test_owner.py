"""The owner that a caller's ARN names, and what is shown of the tags that others wrote."""

import pytest

from dask_bake.models.owner import Owner, owner_of, shown
from dask_bake.models.tags import Tag

IAM, STS = "arn:aws:iam::123456789012", "arn:aws:sts::123456789012"


@pytest.mark.parametrize(
    ("arn", "user"),
    [
        (f"{IAM}:user/anna", "anna"),
        (f"{IAM}:user/teams/data/anna", "anna"),
        ("arn:aws-us-gov:iam::123456789012:user/anna", "anna"),
        (f"{STS}:assumed-role/AWSReservedSSO_Data_0123/anna@example.com", "anna@example.com"),
        (f"{STS}:federated-user/anna", "anna"),
        (f"{STS}:user/moto", "moto"),
    ],
)
def test_a_user_and_a_role_s_session_are_named_by_the_arn(arn, user):
    assert owner_of(arn, "root@laptop") == Owner(user, arn)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "nonsense",
        f"{IAM}:root",
        f"{STS}:assumed-role/launcher/botocore-session-1796000000",
        f"{STS}:assumed-role/launcher/AWSCLI-Session",
        f"{STS}:assumed-role/launcher/i-0123456789abcdef0",
        f"{STS}:assumed-role/task/0123456789abcdef0123456789abcdef",
    ],
)
def test_a_caller_without_a_person_s_name_is_the_user_of_this_machine(arn):
    assert owner_of(arn, "anna@laptop") == Owner("anna@laptop", arn)


def test_the_tags_are_the_user_and_the_arn_as_far_as_they_are_known():
    assert Owner("anna", f"{IAM}:user/anna").tags == (
        (Tag.OWNER, "anna"),
        (Tag.OWNER_ARN, f"{IAM}:user/anna"),
    )
    assert Owner("anna@laptop").tags == ((Tag.OWNER, "anna@laptop"),)
    assert Owner().tags == ()


def test_a_tag_has_only_characters_that_tags_may_have_and_is_not_too_long():
    assert owner_of("", "änna,\n<b>@laptop").user == "_nna___b_@laptop"
    long = owner_of(f"{IAM}:user/{'path/' * 80}{'a' * 64}", "")
    assert (len(long.user), len(long.arn)) == (64, 256)


def test_others_tags_are_shown_in_one_line_without_control_characters():
    assert shown(["bob\x1b[2J\n\u202eeve"]) == "bob?[2J??eve"
    assert shown(["b" * 300]) == "b" * 63 + "…"
