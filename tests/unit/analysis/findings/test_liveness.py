"""Findings about jobs that have not ended: each with a log that proves it."""

from __future__ import annotations

import pytest

from tests.support.judging import found, only, sentence, verdict_of
from tests.support.logs import (
    Piece,
    armed,
    asked,
    crashed,
    delivered,
    farm,
    fired,
    frozen,
    healed,
    ran,
    refusing,
    submitted,
    taken,
)

LIVENESS_MS = 600_000


def at_last(ms: int) -> Piece:
    """Something of no interest at the time of the verdict."""
    return asked("/object_info", on="a", at=ms)


def test_a_job_that_waits_or_runs_is_unfinished() -> None:
    waiting = only(farm("a"), submitted("j", on="a", at=1_500))
    assert (waiting.finding, waiting.severity, waiting.job, waiting.instance) == ("unfinished", "unknown", "j", "a")
    assert waiting.says == "j still waits on a, since 1.5 s; the run was judged before its end."
    assert sentence(farm("a"), submitted("j", on="a", at=1_500), taken("j", on="a", at=2_000)) == (
        "j still runs on a, since 2 s; the run was judged before its end."
    )
    assert verdict_of(farm("a"), submitted("j", on="a", at=1_500)).verdict == "unknown"


def test_a_job_that_has_succeeded_is_not_unfinished_while_another_attempt_runs() -> None:
    assert found(farm("a", "b"), ran("j", on="a", at=0, until=9), submitted("j", on="b", at=5)) == []


def test_a_job_of_which_its_client_says_that_it_is_done_is_not_unfinished_too() -> None:
    assert found(farm("a"), submitted("j", on="a", at=0), delivered("j", at=5)) == [("false_completion", "j", "")]


def test_what_is_open_too_long_after_a_heal_is_stuck() -> None:
    pieces = farm("a"), submitted("j", on="a", at=0), healed(at=5_000)
    assert found(*pieces, at_last(5_000 + LIVENESS_MS)) == [("unfinished", "j", "a")]
    finding = only(*pieces, at_last(5_001 + LIVENESS_MS))
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("stuck", "error", "j", "a")
    assert finding.says == (
        "j still waits on a, 605.001 s after it was accepted and 600.001 s after the farm was healed, undisturbed "
        "since; look at the jobs before it."
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
