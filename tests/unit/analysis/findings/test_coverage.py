"""Findings about the test itself and its log: each with a log that proves it."""

from __future__ import annotations

from msgspec.structs import replace

from tests.support.judging import found, only, verdict_of
from tests.support.logs import (
    Piece,
    armed,
    asked,
    crashed,
    farm,
    fired,
    ran,
    refused,
    rejected,
    socket_opened,
    submitted,
)


def at_last(ms: int) -> Piece:
    """Something of no interest at the time of the verdict."""
    return asked("/object_info", on="a", at=ms)


def test_a_fault_that_never_struck_is_told() -> None:
    pieces = farm("a", "b"), ran("j", on="a", at=0, until=9), ran("k", on="b", at=0, until=9)
    finding = only(*pieces, armed("f", on=["a", "b"], at=1_000, do="hang"))
    assert (finding.finding, finding.severity) == ("fault_never_fired", "note")
    assert finding.says == "The fault f (hang), armed at 1 s on a, b, never struck."
    assert verdict_of(*pieces, armed("f", on=["a"])).verdict == "pass"
    assert found(*pieces, armed("f", on=["a", "b"]), fired("f", on="b", at=5)) == []


def test_an_instance_that_never_got_a_job_is_told() -> None:
    finding = only(farm("a", "b"), ran("j", on="a", at=0, until=9))
    assert (finding.finding, finding.severity, finding.instance) == ("instance_never_used", "note", "b")
    assert finding.says == "No job was ever sent to b."
    assert found(farm("a", "b"), ran("j", on="a", at=0, until=9), rejected("k", on="b", at=0, status=404)) == []
    assert found(farm("a", "b")) == [("no_job", "", "")]


def test_a_run_in_which_nothing_was_sent_is_no_pass() -> None:
    verdict = verdict_of(farm("a"), socket_opened(on="a", at=5))
    (finding,) = verdict.findings
    assert (verdict.verdict, finding.finding, finding.severity) == ("unknown", "no_job", "unknown")
    assert finding.says == (
        "No job came: no request came at all (check the URL and port that the system under test uses; a refused "
        "connection is not in the log)."
    )


def test_a_run_with_requests_but_without_a_job_is_no_pass() -> None:
    asked_once = asked("/queue", on="a", at=5)
    assert only(farm("a"), asked_once).says == (
        "No job came: 1 request came, but none submitted one (see in the log what they were)."
    )
    assert "2 requests came" in only(farm("a"), asked_once, asked_once).says


def test_the_farms_own_load_is_no_job() -> None:
    load = replace(submitted("load", on="a", at=0), is_load=True)
    assert found(farm("a"), load) == [("no_job", "", "")]
    assert found(farm("a"), load, refused("j", on="a", at=50)) == []
    assert found(farm("a"), load, ran("j", on="a", at=50, until=60)) == []


def test_a_log_with_holes_is_no_pass() -> None:
    defects = ["line 7 is torn", "seq 3 to 5 are missing"]
    verdict = verdict_of(farm("a"), ran("j", on="a", at=0, until=9), defects=defects)
    assert (verdict.verdict, [each.finding for each in verdict.findings]) == ("unknown", ["log_incomplete"])
    assert "(line 7 is torn; seq 3 to 5 are missing)" in verdict.findings[0].says


def test_many_holes_are_counted_and_the_first_are_told() -> None:
    verdict = verdict_of(farm("a"), defects=[f"hole {each}" for each in range(1_000)])
    assert "hole 19; and 980 more)" in verdict.findings[0].says


def test_what_a_log_with_holes_does_not_say_proves_nothing() -> None:
    pieces = farm("a", "b"), ran("k", on="b", at=0, until=9), submitted("j", on="a", at=1)
    lost = *pieces, crashed("a", at=10, lost=["j"]), at_last(90_000)
    assert verdict_of(*lost).verdict == "fail"
    doubtful = verdict_of(*lost, defects=["line 7 is torn"])
    assert doubtful.verdict == "unknown"
    assert [(each.finding, each.severity) for each in doubtful.findings] == [
        ("log_incomplete", "unknown"), ("lost", "unknown"),
    ]
    assert doubtful.findings[1].says.endswith("(The log is incomplete: what disproves it may be missing.)")


def test_what_a_log_with_holes_does_say_is_proven() -> None:
    pieces = farm("a"), ran("j", on="a", at=0, until=9), ran("j", on="a", at=20, until=29)
    assert verdict_of(*pieces, defects=["line 7 is torn"]).verdict == "fail"
