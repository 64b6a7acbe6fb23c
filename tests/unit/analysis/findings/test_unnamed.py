"""Jobs without a name whose retry has another hash: what may be one, and what is certainly none."""

from __future__ import annotations

from tests.support.judging import found, only, used, verdict_of
from tests.support.logs import Piece, answered, asked, crashed, farm, ran, rejected, submitted

H1, H2, H3 = "1" * 16, "2" * 16, "3" * 16
A_MINUTE_LATER = asked("/object_info", on="b", at=60_000)


def lost(job: str, *, on: str = "a", sent: int = 0, at: int = 4_000) -> list[Piece]:
    return [submitted(job, on=on, at=sent), answered(job, on=on, at=sent), crashed(on, at=at, lost=[job])]


def test_a_lost_job_that_may_have_been_sent_again_with_another_seed_is_neither_lost_nor_passed() -> None:
    pieces = farm("a", "b"), lost(H1), ran(H2, on="b", at=5_000, until=6_000)
    finding = only(*pieces, A_MINUTE_LATER)
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("unnamed", "unknown", H1, "a")
    assert finding.says == (
        f"The prompt {H1} was lost with a at 4 s, and {H2}, sent to b at 5 s, may be its retry: neither has a name but "
        "its hash. Name the jobs to know (job_name)."
    )
    assert verdict_of(*pieces).verdict == verdict_of(*pieces, A_MINUTE_LATER).verdict == "unknown"


def test_a_lost_job_is_lost_if_nothing_without_a_name_was_first_sent_after_that() -> None:
    pieces = farm("a", "b"), used("b"), lost(H1), A_MINUTE_LATER
    assert found(*pieces) == [("lost", H1, "a")]
    assert found(*pieces, ran(H2, on="b", at=3_999, until=6_000)) == [("lost", H1, "a")]
    assert found(*pieces, ran("j", on="b", at=5_000, until=6_000)) == [("lost", H1, "a")]


def test_a_job_with_a_name_is_lost_whatever_is_sent_after_that() -> None:
    pieces = farm("a", "b"), used("b"), lost("j"), A_MINUTE_LATER
    assert found(*pieces, ran(H2, on="b", at=5_000, until=6_000)) == [("lost", "j", "a")]


def test_one_job_is_the_retry_of_one_lost_job_only() -> None:
    both = submitted(H1, on="a", at=0), submitted(H2, on="a", at=1), crashed("a", at=4_000, lost=[H1, H2])
    findings = verdict_of(farm("a", "b"), both, ran(H3, on="b", at=5_000, until=6_000), A_MINUTE_LATER).findings
    assert [finding.finding for finding in findings] == ["lost", "unnamed"]
    assert {finding.job for finding in findings} == {H1, H2}


def test_a_retry_that_is_lost_itself_is_lost() -> None:
    pieces = farm("a", "b", "c"), used("c"), lost(H1), lost(H2, on="b", sent=5_000, at=6_000), A_MINUTE_LATER
    assert found(*pieces) == [("lost", H2, "b"), ("unnamed", H1, "a")]


def test_tries_with_other_seeds_count_as_tries_of_one_job() -> None:
    tries = [rejected(job, on="b", at=at, status=503) for job, at in ((H1, 1_000), (H2, 3_000), (H3, 9_000))]
    pieces = farm("b"), A_MINUTE_LATER
    assert found(*pieces, tries) == [("unnamed", H1, "b"), ("unnamed", H2, "b")]
    assert found(*pieces, tries[:2]) == [("no_retry", H2, "b"), ("unnamed", H1, "b")]
    assert found(*pieces, tries[:1]) == [("no_retry", H1, "b")]
    assert found(*pieces, tries[:1], ran(H2, on="b", at=3_000, until=4_000)) == [("unnamed", H1, "b")]
