"""Judge prowler's findings by the rules of ``checks.toml``."""

import csv
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PASS = "PASS"


@dataclass(frozen=True)
class Finding:
    """The result of a check for one resource."""

    check: str
    status: str
    resource: str
    text: str


@dataclass(frozen=True)
class Rules:
    """The checks that must pass, and the excepted ones with reasons."""

    must_pass: tuple[str, ...]
    excepted: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """The findings, sorted.

    Args:
        passed: number of resources of each check that all of them pass.
        excepted: number of failed resources of each excepted check.
        failed: all other failed findings.
        unseen: required checks without findings.
        stale: excepted checks that do not fail.
    """

    passed: Mapping[str, int]
    excepted: Mapping[str, int]
    failed: tuple[Finding, ...]
    unseen: tuple[str, ...]
    stale: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to fix."""
        return not (self.failed or self.unseen or self.stale)


def read_rules(text: str) -> Rules:
    """Return the rules of a ``checks.toml``."""
    document = tomllib.loads(text)
    excepted = {each["check"]: each["reason"] for each in document["excepted"]}
    return Rules(tuple(document["must_pass"]), excepted)


def read_findings(lines: Iterable[str]) -> tuple[Finding, ...]:
    """Return the findings in prowler's CSV."""
    return tuple(map(_finding, csv.DictReader(lines, delimiter=";")))


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(row["CHECK_ID"], row["STATUS"], row["RESOURCE_UID"], row["STATUS_EXTENDED"])


def judge(findings: Iterable[Finding], rules: Rules) -> Verdict:
    """Return the verdict; a finding that neither passes nor is excepted fails."""
    findings = tuple(findings)
    bad_ones = [finding for finding in findings if finding.status != PASS]
    bad = Counter(finding.check for finding in bad_ones)
    seen = Counter(finding.check for finding in findings)
    return Verdict(
        passed={check: count for check, count in sorted(seen.items()) if check not in bad},
        excepted={check: count for check, count in sorted(bad.items()) if check in rules.excepted},
        failed=tuple(finding for finding in bad_ones if finding.check not in rules.excepted),
        unseen=tuple(check for check in rules.must_pass if check not in seen),
        stale=tuple(check for check in rules.excepted if check not in bad),
    )


def table(verdict: Verdict, rules: Rules) -> Iterator[str]:
    """Yield the verdict as lines, failures last."""
    width = max(map(len, (*verdict.passed, *verdict.excepted, *rules.must_pass)), default=0)
    for check, count in verdict.passed.items():
        yield f"pass      {check:{width}}  {count:3}"
    for check, count in verdict.excepted.items():
        yield f"excepted  {check:{width}}  {count:3}  {rules.excepted[check]}"
    for finding in verdict.failed:
        yield f"FAIL      {finding.check}: {finding.text} ({finding.resource})"
    for check in verdict.unseen:
        yield f"FAIL      {check}: it has no findings, but must pass"
    for check in verdict.stale:
        yield f"FAIL      {check}: it is excepted in checks.toml, but does not fail"
    yield (
        f"{len(verdict.passed)} checks pass, {len(verdict.excepted)} are excepted, "
        f"{len({each.check for each in verdict.failed} | {*verdict.unseen, *verdict.stale})} fail."
    )
