"""Who could not know is innocent: jobs that were sent side by side, and answers that could not be read."""

from __future__ import annotations

import pytest

from tests.support.judging import found, said
from tests.support.logs import (
    answered,
    asked,
    crashed,
    draining,
    farm,
    fired,
    ran,
    ready,
    refused,
    rejected,
    started,
    submitted,
)

USED = [ran(f"other-{name}", on=name, at=0, until=1) for name in ("a", "b")]


def test_two_jobs_that_are_sent_in_one_moment_tell_each_other_nothing_about_what_is_missing() -> None:
    first, beside = (refused(name, on="a", at=1_000, missing=["m"]) for name in ("j", "k"))
    assert found(farm("a", "b"), USED, first, beside) == []
    after = refused("k", on="a", at=1_001, missing=["m"])
    assert found(farm("a", "b"), USED, first, after) == [("ineligible", "k", "a")]


def test_two_jobs_that_are_sent_in_one_moment_tell_each_other_nothing_about_patience() -> None:
    first = rejected("j", on="a", at=1_000, status=429, retry_after_ms=5_000)
    beside, after = (rejected("k", on="a", at=at, status=429, retry_after_ms=5_000) for at in (1_000, 1_001))
    well = [ran(name, on="b", at=7_000, until=7_001) for name in ("j", "k")]
    assert found(farm("a", "b"), USED, well, first, beside) == []
    assert found(farm("a", "b"), USED, well, first, after) == [("retry_after_ignored", "k", "a")]


@pytest.mark.parametrize("status", [0, 503])
def test_jobs_that_are_sent_in_one_moment_are_no_row_of_failures(status: int) -> None:
    def burst(apart_ms: int) -> list[tuple[str, str, str]]:
        failed = [rejected(f"j{n}", on="a", at=1_000 + n * apart_ms, status=status) for n in range(6)]
        well = [ran(f"j{n}", on="b", at=5_000, until=5_001) for n in range(6)]
        return found(farm("a", "b"), USED, failed, well)

    assert burst(0) == []
    assert burst(1) == [("sent_to_down", "j0", "a")]


@pytest.mark.parametrize("do", ["garbage", "truncate"])
def test_a_refusal_that_nobody_could_read_discovers_nothing(do: str) -> None:
    first, second, third = (refused(name, on="a", at=at, missing=["m"])
                            for name, at in (("j", 1_000), ("k", 2_000), ("l", 3_000)))
    spoilt = fired("f", on="a", at=999, do=do, job="j", phase="reply", route="/prompt", prompt_id=None)
    assert found(farm("a", "b"), USED, spoilt, first, second) == []
    assert found(farm("a", "b"), USED, spoilt, first, second, third) == [("ineligible", "l", "a")]
    assert found(farm("a", "b"), USED, first, second) == [("ineligible", "k", "a")]


def test_a_refusal_that_is_still_on_its_way_has_told_nobody() -> None:
    decided, answer = refused("j", on="a", at=1_000, missing=["m"])
    beside = refused("k", on="a", at=2_000, missing=["m"])
    assert found(farm("a", "b"), USED, decided, beside) == []
    assert found(farm("a", "b"), USED, decided, refused("j", on="a", at=2_000, missing=["m"])) == []
    assert found(farm("a", "b"), USED, decided, answer, beside) == [("ineligible", "k", "a")]


def test_a_question_whose_answer_was_spoilt_spoils_no_refusal() -> None:
    elsewhere = fired("f", on="a", at=999, do="garbage", job="j", phase="reply", route="/queue", prompt_id=None)
    cases = [refused(name, on="a", at=at, missing=["m"]) for name, at in (("j", 1_000), ("k", 2_000))]
    other = answered("other", on="a", at=999)
    assert found(farm("a", "b"), USED, elsewhere, other, cases) == [("ineligible", "k", "a")]


def test_a_lost_job_may_wait_while_all_that_is_left_shall_get_no_work() -> None:
    pieces = farm("a", "b"), USED, submitted("j", on="a", at=1_000), crashed("a", at=2_000, lost=["j"])
    later = asked("/object_info", on="b", at=90_000)
    assert found(*pieces, later) == [("lost", "j", "a")]
    assert found(*pieces, draining("b", at=1_500), later) == [("unfinished", "j", "a")]
    assert found(*pieces, draining("b", at=1_500), draining("b", at=50_000, ends=True), later) == [("lost", "j", "a")]
    assert said(*pieces, draining("b", at=1_500), draining("b", at=70_000, ends=True), later).startswith("j was lost")


def test_a_lost_job_may_wait_while_nobody_is_left_that_has_what_it_needs() -> None:
    refusal = refused("j", on="b", at=500, missing=["m"])
    pieces = farm("a", "b"), USED, refusal, submitted("j", on="a", at=1_000), crashed("a", at=2_000, lost=["j"])
    later = asked("/object_info", on="b", at=90_000)
    assert said(*pieces, later) == (
        "j was lost with a at 2 s, and there has been no instance to send it to again."
    )
    back = started("a", at=40_000), ready("a", at=40_000, epoch=2)
    assert found(*pieces, back, later) == [("lost", "j", "a")]
