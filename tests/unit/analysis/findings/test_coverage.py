"""Findings about the test itself and its log: each with a log that proves it."""

from __future__ import annotations

from msgspec.structs import replace

from tests.support.judging import found, only, verdict_of
from tests.support.logs import (
    Piece,
    answered,
    armed,
    asked,
    broke,
    crashed,
    delivered,
    farm,
    fired,
    ran,
    refused,
    rejected,
    socket_opened,
    submitted,
    taken,
)


def at_last(ms: int) -> Piece:
    """Something of no interest at the time of the verdict."""
    return asked("/object_info", on="a", at=ms)


def test_a_fault_that_never_fired_is_told() -> None:
    pieces = farm("a", "b"), ran("j", on="a", at=0, until=9), ran("k", on="b", at=0, until=9)
    finding = only(*pieces, armed("f", on=["a", "b"], at=1_000, do="hang"))
    assert (finding.finding, finding.severity) == ("fault_never_fired", "note")
    assert finding.says == (
        "The fault f (hang), armed at 1 s on a, b, never fired, so this run says nothing about it; check its filters "
        "and times."
    )
    assert verdict_of(*pieces, armed("f", on=["a"])).verdict == "pass"
    assert found(*pieces, armed("f", on=["a", "b"]), fired("f", on="b", at=5)) == []


def test_an_instance_that_never_got_a_job_is_told() -> None:
    finding = only(farm("a", "b"), ran("j", on="a", at=0, until=9))
    assert (finding.finding, finding.severity, finding.instance) == ("instance_never_used", "note", "b")
    assert finding.says == "No job was ever sent to b; check that the software under test knows it."
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


# Errors of comfyfarm's own.


def began(job: str, *, on: str = "a", at: int = 0) -> list[Piece]:
    return [submitted(job, on=on, at=at), answered(job, on=on, at=at), taken(job, on=on, at=at)]


def test_an_error_of_comfyfarm_names_comfyfarm_and_nobody_else() -> None:
    """However long ago it was: nobody had to send the job again."""
    pieces = farm("a"), began("j"), broke("j", on="a", at=2_000), at_last(600_000)
    finding = only(*pieces)
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("internal", "unknown", "j", "a")
    assert finding.says == (
        "comfyfarm itself failed in job j on a at 2 s: TypeError: no (sim/memory.py:47). This is not the fault of the "
        "software under test. Please report it, with the log."
    )
    assert verdict_of(*pieces).verdict == "unknown"


def test_the_same_error_in_many_jobs_is_one_finding() -> None:
    jobs: list[Piece] = [[began(f"j{n}", at=n * 10), broke(f"j{n}", on="a", at=n * 10 + 5)] for n in range(3)]
    finding = only(farm("a"), jobs)
    assert "in job j0 on a at 0.005 s, and 2 more times in the same way: TypeError" in finding.says
    assert len(finding.events) == 3
    other = began("j", at=40), broke("j", on="a", at=45, raised_at="sim/cache.py:3")
    assert found(farm("a"), jobs, other) == [("internal", "j0", "a"), ("internal", "j", "a")]


def test_an_error_of_comfyfarm_at_a_request_names_the_request() -> None:
    finding = only(farm("a"), ran("j", on="a", at=0, until=9), broke("", on="a", at=20, request="GET /view"))
    assert finding.says.startswith("comfyfarm itself failed at GET /view on a at 0.02 s: TypeError")


def test_what_a_client_does_about_a_job_that_comfyfarm_failed_in_is_no_mistake() -> None:
    """It gives the job up, sends it again until it succeeds, or takes what was there for the result."""
    failed = farm("a", "b"), began("j"), broke("j", on="a", at=2_000)
    again = ran("j", on="b", at=2_100, until=3_000), delivered("j", at=3_100, on="b")
    reactions: list[Piece] = [[], again, delivered("j", at=2_100, on="a")]
    for reaction in reactions:
        findings = verdict_of(*failed, reaction, at_last(600_000)).findings
        assert {finding.finding for finding in findings} <= {"internal", "instance_never_used"}
