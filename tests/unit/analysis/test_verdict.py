"""The verdict, and the page that defines it."""

from __future__ import annotations

import re
from pathlib import Path

from comfyfarm.analysis.findings import RULES
from tests.support.judging import verdict_of
from tests.support.logs import (
    configured,
    farm,
    fetched,
    ran,
    submitted,
)

PAGE = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text(encoding="utf-8")


def test_a_perfect_run_passes() -> None:
    runs = ran("j", on="a", at=0, until=9, file="j"), ran("k", on="b", at=0, until=9, file="k")
    taken_all = fetched("j", on="a", at=10), fetched("k", on="b", at=12)
    verdict = verdict_of(farm("a", "b"), runs, taken_all)
    assert (verdict.verdict, verdict.findings) == ("pass", ())
    assert (verdict.jobs, verdict.attempts, verdict.succeeded) == (2, 2, 2)
    assert (verdict.at_ms, verdict.seq) == (12, 19)


def test_errors_come_first_and_decide() -> None:
    runs = ran("j", on="a", at=0, until=9), ran("j", on="a", at=20, until=29), submitted("k", on="a", at=30)
    verdict = verdict_of(farm("a", "b"), runs)
    assert [each.finding for each in verdict.findings] == ["ran_twice", "unfinished", "instance_never_used"]
    assert verdict.verdict == "fail"


def test_a_run_without_a_job_is_no_pass() -> None:
    assert verdict_of().verdict == "unknown"
    assert verdict_of(configured("a")).verdict == "unknown"


def test_the_page_defines_every_finding_and_no_other() -> None:
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == sorted(RULES)


def test_the_page_names_the_errors_that_rest_on_absence() -> None:
    listed = PAGE.rpartition("rest on absence (")[2].partition(")")[0]
    errors = set(re.findall(r"\*(\w+)\*", listed))
    others = {"failing_server", "fault_never_fired", "instance_never_used", "no_job", "nothing_taken"}
    assert {name for name, kind in RULES.items() if kind.by_absence} == errors | others
