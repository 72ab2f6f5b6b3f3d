"""prowler's findings are sorted into passed, excepted and failed."""

from pathlib import Path

import pytest

from security.__main__ import environment
from security.findings import Finding, Rules, judge, read_findings, read_rules, table

CHECKS = Path(__file__).parents[2] / "security/checks.toml"
RULES = Rules(must_pass=("imdsv2",), excepted={"backup": "disks go with their instances"})
SEEN = Finding("imdsv2", "PASS", "i-1", "it asks for a token")
EXCEPTED = Finding("backup", "FAIL", "vol-1", "it has no backup")


def test_passed_checks_are_counted_and_excepted_ones_keep_their_reason():
    verdict = judge([SEEN, SEEN, EXCEPTED], RULES)

    assert verdict.is_good
    assert list(table(verdict, RULES)) == [
        "pass      imdsv2    2",
        "excepted  backup    1  disks go with their instances",
        "1 checks pass, 1 are excepted, 0 fail.",
    ]


@pytest.mark.parametrize("status", ["FAIL", "MANUAL"])
def test_a_finding_that_is_not_excepted_fails_with_its_resource(status):
    """Includes findings to be checked manually; a passed resource does not make up for a failed one."""
    passes = Finding("open-port", "PASS", "sg-1", "it is closed")
    fails = Finding("open-port", status, "sg-2", "it is open")

    verdict = judge([SEEN, EXCEPTED, passes, fails], RULES)

    assert not verdict.is_good
    assert (verdict.failed, dict(verdict.passed)) == ((fails,), {"imdsv2": 1})
    assert list(table(verdict, RULES))[-2:] == [
        "FAIL      open-port: it is open (sg-2)",
        "1 checks pass, 1 are excepted, 1 fail.",
    ]


def test_a_required_check_without_findings_fails():
    """Otherwise an EC2 that answers with errors would pass."""
    verdict = judge([EXCEPTED], RULES)

    assert (verdict.is_good, verdict.unseen) == (False, ("imdsv2",))
    assert "FAIL      imdsv2: it has no findings, but must pass" in list(table(verdict, RULES))


@pytest.mark.parametrize("findings", [[SEEN], [SEEN, Finding("backup", "PASS", "vol-1", "it has one")]])
def test_an_unneeded_exception_fails(findings):
    verdict = judge(findings, RULES)

    assert (verdict.is_good, verdict.stale) == (False, ("backup",))
    assert "FAIL      backup: it is excepted in checks.toml, but does not fail" in list(table(verdict, RULES))


def test_findings_are_read_from_prowler_s_csv():
    lines = [
        "AUTH_METHOD;CHECK_ID;STATUS;STATUS_EXTENDED;RESOURCE_UID;NOTES\n",
        'profile;imdsv2;PASS;"it asks; for a token";i-1;"two\n',
        'lines"\n',
    ]

    assert read_findings(lines) == (Finding("imdsv2", "PASS", "i-1", "it asks; for a token"),)


def test_the_rules_name_each_check_once_and_give_reasons():
    rules = read_rules(CHECKS.read_text())

    assert len(set(rules.must_pass)) == len(rules.must_pass) > 0
    assert not set(rules.must_pass) & set(rules.excepted)
    assert CHECKS.read_text().count("[[excepted]]") == len(rules.excepted)
    assert all(reason and check.startswith("ec2_") for check, reason in rules.excepted.items())


def test_prowler_gets_no_user_settings_and_reaches_only_the_endpoint(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    variables = environment("http://127.0.0.1:5665", str(tmp_path))

    assert "AWS_PROFILE" not in variables
    assert (variables["AWS_ENDPOINT_URL"], variables["HTTPS_PROXY"], variables["NO_PROXY"]) == (
        "http://127.0.0.1:5665",
        "http://127.0.0.1:9",
        "127.0.0.1,localhost",
    )
    assert variables["AWS_ACCESS_KEY_ID"] == "testing"
