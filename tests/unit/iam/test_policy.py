"""Policies are valid for IAM, and limited to dask-bake's resources wherever an action supports that."""

import json

import pytest

from dask_bake.cli.main import run
from dask_bake.iam.grants import GRANTS, IS_MANAGED, Extra, Purpose
from dask_bake.iam.policy import POLICY_LIMIT, notes, policy
from dask_bake.models.tags import Tag
from dask_bake.options.launch_table import OPTIONS
from iam_actions import permitted

EVERYTHING = (*Purpose, *Extra)


def statements(*needs) -> list[dict]:
    return policy(needs)["Statement"]


@pytest.mark.parametrize("need", EVERYTHING)
def test_each_purpose_has_permissions(need):
    assert permitted(need)


def test_a_statement_has_one_set_of_resources_and_one_condition():
    """So merging rows into a statement loses no resources."""
    for sid in {grant.sid for grant in GRANTS}:
        rows = [grant for grant in GRANTS if grant.sid == sid]
        assert [(row.resources, row.condition) for row in rows] == len(rows) * [
            (rows[0].resources, rows[0].condition)
        ]


def test_actions_on_all_resources_are_read_only():
    anywhere = [each for each in statements(*EVERYTHING) if each["Resource"] == ["*"]]
    operations = [action.partition(":")[2] for each in anywhere for action in each["Action"]]

    assert [name for name in operations if not name.startswith(("Describe", "Get"))] == []
    assert "*" not in "".join(action for each in statements(*EVERYTHING) for action in each["Action"])


@pytest.mark.parametrize(
    "action",
    [
        "ec2:TerminateInstances",
        "ec2:StopInstances",
        "ec2:GetConsoleOutput",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteKeyPair",
        "ec2:DeregisterImage",
        "ec2:DeleteSnapshot",
        "ec2:ModifyImageAttribute",
        "ec2:ModifySnapshotAttribute",
    ],
)
def test_destructive_actions_are_limited_to_managed_resources(action):
    holding = [each for each in statements(*EVERYTHING) if action in each["Action"]]

    assert [each["Condition"] for each in holding] == len(holding) * [IS_MANAGED]
    assert holding


def test_run_instances_requires_the_managed_tag_and_for_a_launch_imdsv2():
    for purpose in (Purpose.LAUNCH, Purpose.BAKE):
        (starting,) = (
            each
            for each in statements(purpose)
            if "ec2:RunInstances" in each["Action"] and "instance/*" in each["Resource"][0]
        )
        wanted = {f"aws:RequestTag/{Tag.MANAGED}": "true"}
        tokens = {"ec2:MetadataHttpTokens": "required"} if purpose is Purpose.LAUNCH else {}
        assert starting["Condition"] == {"StringEquals": wanted | tokens}


def test_only_the_named_role_can_be_passed_and_only_to_ec2():
    (giving,) = (each for each in statements(Extra.PROFILE) if each["Action"] == ["iam:PassRole"])

    assert giving["Resource"] == ["arn:aws:iam::ACCOUNT:role/ROLE"]
    assert giving["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_only_the_caller_s_own_sessions_can_be_resumed_and_terminated():
    (own,) = (each for each in statements(Extra.SSM) if "ssmmessages:OpenDataChannel" in each["Action"])

    assert own["Action"][1:] == ["ssm:ResumeSession", "ssm:TerminateSession"]
    assert own["Resource"] == ["arn:aws:ssm:*:*:session/${aws:userid}-*"]


def test_a_policy_for_several_purposes_is_the_union_of_theirs():
    together = {action for each in statements(Purpose.LAUNCH, Purpose.BAKE) for action in each["Action"]}

    assert together == permitted(Purpose.LAUNCH) | permitted(Purpose.BAKE)


def test_the_account_replaces_its_placeholder_everywhere():
    text = json.dumps(policy(EVERYTHING, account="123456789012"))

    assert "ACCOUNT" not in text
    assert '"ec2:Owner": "123456789012"' in text
    assert '"arn:aws:ec2:*::image/*"' in text


def test_placeholders_and_an_oversized_policy_are_noted():
    plain = json.dumps(policy([Purpose.LAUNCH], account="123456789012"))
    with_role = json.dumps(policy([Purpose.LAUNCH, Extra.PROFILE, Extra.KMS_KEY]))

    assert list(notes(plain)) == []
    assert [note.split()[:2] for note in notes(with_role)] == [
        ["Replace", placeholder] for placeholder in ("ACCOUNT", "ROLE", "KEY")
    ]
    assert "IAM takes 6144" in list(notes(json.dumps(policy(EVERYTHING), indent=2)))[-1]


@pytest.mark.parametrize("purpose", Purpose)
def test_the_policy_for_one_purpose_is_within_iam_s_size_limit(purpose):
    text = json.dumps(policy([purpose], account="123456789012"))

    assert len("".join(text.split())) <= POLICY_LIMIT
    assert policy([purpose])["Version"] == "2012-10-17"


def test_extras_have_the_names_of_the_options():
    flags = {flag.lstrip("-") for option in OPTIONS for each in option.flags for flag in each.split("/")}

    assert {str(extra) for extra in Extra} - {"eice", "ssm", "kms-key", "scale"} <= flags


def test_the_command_prints_the_policy_and_notes_the_placeholders(capsys):
    assert run(["iam-policy", "--for", "launch", "--for", "bake", "--with", "spot"]) == 0

    output, errors = capsys.readouterr()
    assert json.loads(output) == policy((Purpose.LAUNCH, Purpose.BAKE, Extra.SPOT))
    assert errors == "Replace ACCOUNT by your account number, or pass --account.\n"


def test_the_default_purpose_is_launch_and_the_account_is_filled_in(capsys):
    assert run(["iam-policy", "--account", "123456789012"]) == 0
    launching = capsys.readouterr()
    assert run(["iam-policy", "--for", "all", "--account", "123456789012"]) == 0
    everything = capsys.readouterr()

    assert (launching.err, everything.err) == ("", "")
    assert json.loads(launching.out) == policy([Purpose.LAUNCH], account="123456789012")
    assert json.loads(everything.out) == policy([*Purpose], account="123456789012")


def test_an_invalid_account_number_is_wrong_use(capsys):
    assert run(["iam-policy", "--account", "mine"]) == 2
    assert "'mine' is not the number of an AWS account" in capsys.readouterr().err
