"""Findings about retries: each with a log that proves it, and a similar one that does not."""

from __future__ import annotations

from tests.support.judging import found, only, sentence, used, verdict_of
from tests.support.logs import (
    Piece,
    answered,
    asked,
    crashed,
    farm,
    ran,
    ready,
    refused,
    rejected,
    started,
    submitted,
    taken,
    uploaded,
)

A_MINUTE_LATER = asked("/object_info", on="b", at=60_000)


def test_corrections_are_no_storm() -> None:
    corrected: list[Piece] = [
        [uploaded("a", at=n * 10), refused("j", on="a", at=n * 10 + 5)] for n in range(20)
    ]
    assert found(farm("a"), corrected, ran("j", on="a", at=500, until=501)) == []
    errors = [ran("j", on="a", at=at, until=at + 1, ends="error", prompt_id=f"{at}@a") for at in range(500, 508, 2)]
    assert found(farm("a"), corrected, errors) == [("retry_storm", "j", "")]


def test_a_job_that_was_refused_for_good_may_be_given_up_after_a_503() -> None:
    busy = rejected("j", on="b", at=1_001, status=503)
    pieces = farm("a", "b"), used("a", "b"), A_MINUTE_LATER
    assert found(*pieces, refused("j", on="a", at=1_000), busy) == []
    assert found(*pieces, refused("j", on="a", at=1_000, missing=["m"]), busy) == [("no_retry", "j", "b")]
    recovered = ran("j", on="a", at=1_500, until=1_600, ends="error"), rejected("j", on="b", at=2_000, status=503)
    assert found(*pieces, refused("j", on="a", at=1_000), recovered, tries=4) == [("no_retry", "j", "b")]


def test_giving_up_after_one_retryable_answer_is_told() -> None:
    for status, answer in ((429, "answered 429"), (500, "answered 500"), (503, "answered 503"), (0, "gave no answer")):
        pieces = farm("a", "b"), used("b"), rejected("j", on="a", at=1_000, status=status), A_MINUTE_LATER
        finding = only(*pieces)
        assert (finding.finding, finding.severity, finding.job) == ("no_retry", "error", "j")
        assert finding.says == f"a {answer} to attempt 1 of j at 1 s, and nobody tried again in the 59 s since."


def test_a_client_is_given_time_to_try_again() -> None:
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=503, retry_after_ms=120_000)
    assert found(*pieces, asked("/queue", on="a", at=120_999)) == [("unfinished", "j", "a")]
    assert found(*pieces, asked("/queue", on="a", at=121_000)) == [("no_retry", "j", "a")]
    assert sentence(*pieces) == "j was answered 503 by a at 1 s, and its client has had only 0 s to send it again."


def test_a_client_that_has_tried_often_enough_may_give_up() -> None:
    tries = [rejected("j", on="a", at=each * 5_000, status=503) for each in range(3)]
    assert found(farm("a"), tries[:2], asked("/queue", on="a", at=90_000)) == [("no_retry", "j", "a")]
    assert found(farm("a"), tries, asked("/queue", on="a", at=90_000)) == []


def test_a_refusal_for_good_is_no_reason_to_try_again() -> None:
    for status in (400, 404, 413):
        assert found(farm("b"), rejected("j", on="b", at=1_000, status=status), A_MINUTE_LATER) == []


def test_a_retry_anywhere_is_one() -> None:
    pieces = farm("a", "b"), rejected("j", on="a", at=1_000, status=503), ran("j", on="b", at=2_000, until=3_000)
    assert found(*pieces, A_MINUTE_LATER) == []


def test_a_lost_job_whose_only_retry_was_turned_away_is_told_once() -> None:
    lost = submitted("j", on="a", at=0), crashed("a", at=10, lost=["j"])
    assert found(farm("a", "b"), lost, rejected("j", on="b", at=20, status=429), A_MINUTE_LATER) == [
        ("no_retry", "j", "b")
    ]


def test_retrying_at_once_again_and_again_is_a_storm() -> None:
    tries = [rejected("j", on="a", at=1_000 + each * 99, status=503) for each in range(4)]
    finding = only(farm("a"), tries[:4], ran("j", on="a", at=9_000, until=9_001))
    assert (finding.finding, finding.severity, finding.job) == ("retry_storm", "error", "j")
    assert finding.says == (
        "j was sent again 3 times in a row, to a, from 1 s to 1.297 s, each time less than 0.1 s after it had failed."
    )
    assert found(farm("a"), tries[:3], ran("j", on="a", at=9_000, until=9_001)) == []


def test_retrying_with_patience_is_no_storm() -> None:
    tries = [rejected("j", on="a", at=1_000 + each * 100, status=503) for each in range(9)]
    assert found(farm("a"), tries, ran("j", on="a", at=9_000, until=9_001)) == []


def test_retrying_without_end_is_a_storm_however_slow() -> None:
    tries = [rejected("j", on="a", at=each * 60_000, status=503) for each in range(10)]
    end = ran("j", on="a", at=600_000, until=600_001)
    other = farm("a", "b"), used("b")
    assert found(*other, tries, end, failures=10) == [("retry_storm", "j", "")]
    says = "j was sent 11 times, to a, from 0 s to 600 s; at most 10 are allowed."
    assert sentence(*other, tries, end, failures=10) == says
    assert found(*other, tries[1:], end, failures=10) == []


def outage(gap_ms: int, status: int = 503) -> list[Piece]:
    """Both instances turn a job away, by turns, twenty times; then it succeeds."""
    tries = [rejected("j", on="ab"[n % 2], at=1_000 + n * gap_ms, status=status) for n in range(20)]
    return [farm("a", "b"), tries, ran("j", on="b", at=1_000 + 20 * gap_ms, until=900_000)]


def test_a_patient_client_may_go_on_while_every_instance_turns_jobs_away() -> None:
    for status in (0, 429, 500, 503):
        assert found(*outage(100, status)) == []
        assert found(*outage(30_000, status)) == []
    polls = [asked("/queue", on=name, at=at) for name in ("a", "b") for at in range(0, 60_000, 5_000)]
    assert found(*outage(3_000), polls) == []


def test_a_client_that_hammers_while_every_instance_turns_jobs_away_is_a_storm() -> None:
    assert found(*outage(99)) == [("retry_storm", "j", "")]
    pairs = [rejected("j", on="a", at=1_000 + n * 500 + extra, status=503) for n in range(12) for extra in (0, 50)]
    assert found(farm("a"), pairs, ran("j", on="a", at=60_000, until=60_001)) == [("retry_storm", "j", "")]


def test_an_outage_is_none_where_other_jobs_are_taken_on() -> None:
    others = [ran(f"k{n}", on="a", at=1_500 + n * 3_000, until=1_501 + n * 3_000) for n in range(20)]
    assert ("retry_storm", "j", "") in found(*outage(3_000), others)


def test_the_same_prompt_without_a_name_may_be_sent_often_if_it_succeeds() -> None:
    name = "0123456789abcdef"
    runs = [ran(name, on="a", at=n * 10, until=n * 10 + 5, prompt_id=f"{n}@a") for n in range(20)]
    assert found(farm("a"), runs) == [("unnamed", name, "")]
    busy = [rejected(name, on="a", at=n * 10 + 7, status=503) for n in range(20)]
    assert found(farm("a"), runs, busy) == [("unnamed", name, "")]
    fails = [rejected(name, on="a", at=1_000 + n * 200, status=503) for n in range(11)]
    other = ran("j", on="b", at=0, until=1), ran("k", on="b", at=9_000, until=9_001)
    assert found(farm("a", "b"), other, fails, runs, failures=11) == [("retry_storm", name, ""), ("unnamed", name, "")]
    assert found(farm("a"), [ran("j", on="a", at=n * 10, until=n * 10 + 5, prompt_id=f"{n}@a") for n in range(20)]) == [
        ("ran_twice", "j", ""), ("retry_storm", "j", ""),
    ]


def test_running_into_errors_at_once_again_and_again_is_a_storm() -> None:
    tries = [ran("j", on="a", at=at, until=at + 1, ends="error", prompt_id=f"{at}@a") for at in range(0, 8, 2)]
    assert found(farm("a"), tries) == [("retry_storm", "j", "")]


def test_looking_for_an_instance_that_has_the_model_is_no_storm() -> None:
    names = [f"gpu-{each}" for each in range(12)]
    looks = [refused("j", on=name, at=index, missing=["m"]) for index, name in enumerate(names)]
    assert found(farm(*names), looks) == []


def test_coming_back_before_the_time_asked_for_is_told() -> None:
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=429, retry_after_ms=5_000)
    finding = only(*pieces, ran("j", on="a", at=5_999, until=6_500))
    assert (finding.finding, finding.severity, finding.job, finding.instance) == (
        "retry_after_ignored", "error", "j", "a",
    )
    assert finding.says == (
        "j was sent to a at 5.999 s, though a had answered 429 at 1 s and asked to wait 5 s (Retry-After)."
    )
    assert found(*pieces, ran("j", on="a", at=6_000, until=6_500)) == []


def test_what_one_instance_asks_for_does_not_hold_for_another() -> None:
    pieces = farm("a", "b"), rejected("j", on="a", at=1_000, status=429, retry_after_ms=5_000)
    assert found(*pieces, ran("j", on="b", at=1_001, until=6_500)) == []


def test_what_was_asked_of_one_client_does_not_hold_for_another() -> None:
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=503, retry_after_ms=5_000)
    later = ran("j", on="a", at=6_000, until=7_000)
    assert found(*pieces, later, ran("k", on="a", at=2_000, until=3_000)) == [("retry_after_ignored", "k", "a")]
    assert found(*pieces, later, ran("k", on="a", at=2_000, until=3_000, client="d")) == []
    slow = submitted("k", on="a", at=2_000), answered("k", on="a", at=2_000, began=999)
    assert found(*pieces, later, slow, ran("k", on="a", at=2_001, until=3_000, client="d")[2:]) == []


def test_hammering_against_a_retry_after_is_told_once() -> None:
    tries = [rejected("j", on="a", at=at, status=429, retry_after_ms=5_000) for at in range(0, 2_000, 50)]
    assert found(farm("a"), tries, ran("j", on="a", at=9_000, until=9_001)) == [("retry_after_ignored", "j", "a")]


def test_two_jobs_that_are_sent_in_one_moment_tell_each_other_nothing_about_patience() -> None:
    first = rejected("j", on="a", at=1_000, status=429, retry_after_ms=5_000)
    beside, after = (rejected("k", on="a", at=at, status=429, retry_after_ms=5_000) for at in (1_050, 1_051))
    well = [ran(name, on="b", at=7_000, until=7_001) for name in ("j", "k")]
    assert found(farm("a", "b"), used("a", "b"), well, first, beside) == []
    assert found(farm("a", "b"), used("a", "b"), well, first, after) == [("retry_after_ignored", "k", "a")]


def test_a_job_that_was_under_way_when_a_retry_after_was_announced_does_not_ignore_it() -> None:
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=429, retry_after_ms=5_000)
    later = ran("j", on="a", at=6_000, until=7_000)
    assert found(*pieces, later, ran("k", on="a", at=1_001, until=3_000)) == []
    assert found(*pieces, later, ran("k", on="a", at=1_050, until=3_000)) == []
    assert found(*pieces, later, ran("k", on="a", at=1_051, until=3_000)) == [("retry_after_ignored", "k", "a")]
    assert found(*pieces, later, ran("k", on="a", at=1_001, until=3_000), wire=0) == [("retry_after_ignored", "k", "a")]


def test_a_job_that_comes_back_at_once_is_not_excused_by_the_wire() -> None:
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=503, retry_after_ms=5_000)
    assert found(*pieces, ran("j", on="a", at=1_001, until=3_000)) == [("retry_after_ignored", "j", "a")]


def test_a_stream_of_jobs_closer_than_the_wire_still_ignores_a_retry_after() -> None:
    first = [rejected(f"j{n}", on="a", at=1_000 + n * 20, status=429, retry_after_ms=5_000) for n in range(5)]
    ends = [ran(f"j{n}", on="a", at=9_000 + n, until=9_100) for n in range(5)]
    assert found(farm("a"), first, ends) == [("retry_after_ignored", f"j{n}", "a") for n in (3, 4)]


def poisoned(times: int) -> list[Piece]:
    """A job that crashes one instance after another."""
    names = [f"gpu-{each}" for each in range(times)]
    return [
        [submitted("j", on=name, at=at), taken("j", on=name, at=at), crashed(name, at=at + 500, lost=["j"])]
        for at, name in enumerate_by_seconds(names)
    ]


def enumerate_by_seconds(names: list[str]) -> list[tuple[int, str]]:
    return [(index * 1_000, name) for index, name in enumerate(names, 1)]


def test_a_job_that_takes_one_process_after_another_with_it_is_poison() -> None:
    names = "gpu-0", "gpu-1", "gpu-2", "b"
    pieces = farm(*names), used("b"), poisoned(3)
    finding = only(*pieces, A_MINUTE_LATER)
    assert (finding.finding, finding.severity, finding.job) == ("poison_carried", "error", "j")
    assert finding.says == (
        "3 processes crashed while j ran on them: gpu-0 (sent at 1 s), gpu-1 (sent at 2 s), gpu-2 (sent at 3 s); "
        "after 2 its client should have given it up."
    )


def test_a_poison_job_that_is_given_up_in_time_is_neither_poison_nor_lost() -> None:
    assert found(farm("gpu-0", "gpu-1", "b"), used("b"), poisoned(2), A_MINUTE_LATER) == []


def test_a_job_that_waited_when_processes_crashed_is_no_poison() -> None:
    waits = [[submitted("j", on=name, at=at), crashed(name, at=at + 500, lost=["j"])]
             for at, name in enumerate_by_seconds(["gpu-0", "gpu-1", "gpu-2"])]
    pieces = farm("gpu-0", "gpu-1", "gpu-2", "b"), waits, ran("j", on="b", at=9_000, until=10_000)
    assert found(*pieces) == []


def test_a_process_that_takes_its_job_up_again_by_itself_is_not_its_clients_doing() -> None:
    lives: list[Piece] = [submitted("j", on="a", at=0)]
    for life in range(1, 5):
        at = life * 1_000
        lives += [taken("j", on="a", at=at, epoch=life), crashed("a", at=at + 1, kept=("queue",), epoch=life)]
        lives += [started("a", at=at + 2, epoch=life + 1), ready("a", at=at + 3, epoch=life + 1)]
    assert [each.finding for each in verdict_of(farm("a"), lives).findings] == ["unfinished"]



