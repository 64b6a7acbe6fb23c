"""Does everything end, was everything tested, and is the log whole?  Each finding with a log that proves it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import ValidationError, convert
from msgspec.structs import asdict

from comfyfarm.analysis.findings import RULES, Thresholds
from comfyfarm.units import Duration
from tests.support.judging import found, judged, only, said
from tests.support.logs import (
    Piece,
    armed,
    asked,
    configured,
    crashed,
    delivered,
    farm,
    fetched,
    fired,
    frozen,
    healed,
    ran,
    refusing,
    rejected,
    submitted,
    taken,
)

LIVENESS_MS = 600_000


def at_last(ms: int) -> Piece:
    """Something of no interest: the moment of the judgement."""
    return asked("/object_info", on="a", at=ms)


# unfinished


def test_a_job_that_waits_or_runs_is_unfinished() -> None:
    waiting = only(farm("a"), submitted("j", on="a", at=1_500))
    assert (waiting.finding, waiting.severity, waiting.job, waiting.instance) == ("unfinished", "unknown", "j", "a")
    assert waiting.says == "j still waits on a, since 1.5 s."
    assert said(farm("a"), submitted("j", on="a", at=1_500), taken("j", on="a", at=2_000)) == (
        "j still runs on a, since 2 s."
    )
    assert judged(farm("a"), submitted("j", on="a", at=1_500)).verdict == "unknown"


def test_a_job_that_has_succeeded_is_not_unfinished_while_another_attempt_runs() -> None:
    assert found(farm("a", "b"), ran("j", on="a", at=0, until=9), submitted("j", on="b", at=5)) == []


def test_a_job_of_which_its_client_says_that_it_is_done_is_not_unfinished_too() -> None:
    assert found(farm("a"), submitted("j", on="a", at=0), delivered("j", at=5)) == [("false_completion", "j", "")]


# stuck


def test_what_is_open_too_long_after_a_heal_is_stuck() -> None:
    pieces = farm("a"), submitted("j", on="a", at=0), healed(at=5_000)
    assert found(*pieces, at_last(5_000 + LIVENESS_MS)) == [("unfinished", "j", "a")]
    finding = only(*pieces, at_last(5_001 + LIVENESS_MS))
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("stuck", "error", "j", "a")
    assert finding.says == (
        "j still waits on a, 605.001 s after it was taken on and 600.001 s after the farm was healed."
    )
    assert found(*pieces, at_last(6_000), liveness=999) == [("stuck", "j", "a")]


def test_the_time_of_a_job_that_came_after_the_heal_begins_with_it() -> None:
    pieces = farm("a"), healed(at=0), submitted("j", on="a", at=5_000), taken("j", on="a", at=LIVENESS_MS)
    assert found(*pieces, at_last(5_000 + LIVENESS_MS)) == [("unfinished", "j", "a")]
    assert found(*pieces, at_last(5_001 + LIVENESS_MS)) == [("stuck", "j", "a")]


def test_nothing_is_stuck_in_a_farm_that_was_not_healed() -> None:
    pieces = farm("a"), submitted("j", on="a", at=0)
    assert found(*pieces, at_last(9 * LIVENESS_MS)) == [("unfinished", "j", "a")]


@pytest.mark.parametrize(
    "trouble",
    [
        [armed("f", on=["b"], at=9_000), fired("f", on="b", at=9_000)],
        crashed("b", at=9_000),
        frozen("b", at=9_000),
        refusing("b", at=9_000),
    ],
)
def test_nothing_is_stuck_once_something_else_went_wrong_on_purpose(trouble: Piece) -> None:
    pieces = farm("a", "b"), ran("k", on="b", at=0, until=9), submitted("j", on="a", at=0), healed(at=5_000)
    assert found(*pieces, trouble, at_last(9 * LIVENESS_MS)) == [("unfinished", "j", "a")]
    assert found(*pieces, at_last(9 * LIVENESS_MS)) == [("stuck", "j", "a")]


# coverage


def test_a_fault_that_never_struck_is_told() -> None:
    pieces = farm("a", "b"), ran("j", on="a", at=0, until=9), ran("k", on="b", at=0, until=9)
    finding = only(*pieces, armed("f", on=["a", "b"], at=1_000, do="hang"))
    assert (finding.finding, finding.severity) == ("fault_never_fired", "note")
    assert finding.says == "The fault f (hang), armed at 1 s on a, b, never struck."
    assert judged(*pieces, armed("f", on=["a"])).verdict == "pass"
    assert found(*pieces, armed("f", on=["a", "b"]), fired("f", on="b", at=5)) == []


def test_an_instance_that_never_got_a_job_is_told() -> None:
    finding = only(farm("a", "b"), ran("j", on="a", at=0, until=9))
    assert (finding.finding, finding.severity, finding.instance) == ("instance_never_used", "note", "b")
    assert finding.says == "No job was ever sent to b."
    assert found(farm("a", "b"), ran("j", on="a", at=0, until=9), rejected("k", on="b", at=0, status=404)) == []
    assert found(farm("a", "b")) == []


# the log itself


def test_a_log_with_holes_is_no_pass() -> None:
    verdict = judged(farm("a"), ran("j", on="a", at=0, until=9), defects=["line 7 is torn", "seq 3 to 5 are missing"])
    assert (verdict.verdict, [each.finding for each in verdict.findings]) == ("unknown", ["log_incomplete"])
    assert "(line 7 is torn; seq 3 to 5 are missing)" in verdict.findings[0].says


def test_many_holes_are_counted_and_the_first_are_told() -> None:
    verdict = judged(farm("a"), defects=[f"hole {each}" for each in range(1_000)])
    assert "hole 19; and 980 more)" in verdict.findings[0].says


def test_what_a_log_with_holes_does_not_say_proves_nothing() -> None:
    pieces = farm("a", "b"), ran("k", on="b", at=0, until=9), submitted("j", on="a", at=1)
    lost = *pieces, crashed("a", at=10, lost=["j"]), at_last(90_000)
    assert judged(*lost).verdict == "fail"
    doubtful = judged(*lost, defects=["line 7 is torn"])
    assert doubtful.verdict == "unknown"
    assert [(each.finding, each.severity) for each in doubtful.findings] == [
        ("log_incomplete", "unknown"), ("lost", "unknown"),
    ]
    assert doubtful.findings[1].says.endswith("(The log is incomplete: what disproves it may be missing.)")


def test_what_a_log_with_holes_does_say_is_proven() -> None:
    pieces = farm("a"), ran("j", on="a", at=0, until=9), ran("j", on="a", at=20, until=29)
    assert judged(*pieces, defects=["line 7 is torn"]).verdict == "fail"


# the verdict


def test_a_perfect_run_passes() -> None:
    runs = ran("j", on="a", at=0, until=9, file="j"), ran("k", on="b", at=0, until=9, file="k")
    taken_all = fetched("j", on="a", at=10), fetched("k", on="b", at=12)
    verdict = judged(farm("a", "b"), runs, taken_all)
    assert (verdict.verdict, verdict.findings) == ("pass", ())
    assert (verdict.jobs, verdict.attempts, verdict.succeeded) == (2, 2, 2)
    assert (verdict.at_ms, verdict.seq) == (12, 19)


def test_errors_come_first_and_decide() -> None:
    runs = ran("j", on="a", at=0, until=9), ran("j", on="a", at=20, until=29), submitted("k", on="a", at=30)
    verdict = judged(farm("a", "b"), runs)
    assert [each.finding for each in verdict.findings] == ["ran_twice", "unfinished", "instance_never_used"]
    assert verdict.verdict == "fail"


def test_an_empty_log_passes() -> None:
    assert judged().verdict == "pass"
    assert judged(configured("a")).verdict == "pass"


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValidationError, match="retries"):
        convert({"retries": -1}, Thresholds)
    with pytest.raises(ValidationError, match="unknown field `retry`"):
        convert({"retry": 3}, Thresholds)


# what is written about it

PAGE = (Path(__file__).parents[4] / "docs" / "verdict.md").read_text(encoding="utf-8")


def test_the_page_defines_every_finding_and_no_other() -> None:
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == sorted(RULES)


def test_the_page_names_every_bound_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    written = {name: int(Duration.parse(text)) if text.endswith("s") else int(text) for name, text in rows.items()}
    assert written == asdict(Thresholds())


def test_the_page_names_the_errors_that_rest_on_absence() -> None:
    listed = PAGE.rpartition("rest on absence (")[2].partition(")")[0]
    errors = set(re.findall(r"\*(\w+)\*", listed))
    warnings_and_notes = {"orphaned", "fault_never_fired", "instance_never_used"}
    assert {name for name, kind in RULES.items() if kind.by_absence} == errors | warnings_and_notes
