"""The attempts of logical jobs as known from a log."""

from __future__ import annotations

from comfyfarm.events import QueueCleared
from tests.support.logs import (
    answered,
    crashed,
    finished,
    ran,
    refused,
    rejected,
    reset,
    submitted,
    taken,
    taken_out,
)
from tests.support.tracking import one, tracker_of


def test_an_attempt_has_its_times() -> None:
    attempt = one(ran("j", on="a", at=1, begins=4, until=9))
    assert (attempt.sent_ms, attempt.taken_ms, attempt.ended_ms, attempt.end) == (1, 4, 9, "success")
    assert (attempt.status, attempt.answered_ms, attempt.prompt_id, attempt.client_id) == (200, 1, "j@a", "c")


def test_attempts_are_numbered_over_all_instances() -> None:
    pieces = rejected("j", on="a", at=1, status=503), refused("j", on="b", at=2), ran("j", on="c", at=3, until=4)
    job = tracker_of(*pieces).jobs["j"]
    assert [(each.number, each.instance, each.end, each.status) for each in job.attempts] == [
        (1, "a", "refused", 503), (2, "b", "refused", 400), (3, "c", "success", 200),
    ]


def test_each_answer_is_that_of_its_own_attempt() -> None:
    """One prompt id, sent twice: the first answer is lost."""
    pieces = submitted("j", on="a", at=1), submitted("j", on="a", at=2)
    answers = answered("j", on="a", at=3, status=0, began=1), answered("j", on="a", at=4, began=2)
    attempts = tracker_of(pieces, answers).jobs["j"].attempts
    assert [(attempt.status, attempt.began_ms) for attempt in attempts] == [(0, 1), (200, 2)]


def test_a_late_refusal_is_not_mistaken_for_the_answer_to_another() -> None:
    first = refused("j", on="a", at=1)[0]
    turned_away = rejected("j", on="a", at=5, status=429)
    late = rejected("j", on="a", at=9, status=400, began=1)
    assert [each.status for each in tracker_of(first, turned_away, late).jobs["j"].attempts] == [400, 429]


def test_an_answer_without_a_submission_makes_no_attempt() -> None:
    assert tracker_of(rejected("", on="a", at=1, status=400)).jobs == {}
    assert tracker_of(answered("j", on="a", at=1, prompt_id="from-before-the-log")).jobs == {}


def test_a_run_ends_as_it_ends() -> None:
    for end in ("success", "error", "interrupted"):
        assert one(ran("j", on="a", at=1, until=2, ends=end)).end == end
    assert one(ran("j", on="a", at=1, until=2, ends="error", error="OutOfMemoryError")).error == "OutOfMemoryError"


def test_an_interrupt_that_a_crash_outran_is_forgotten() -> None:
    first = ran("j", on="a", at=0, until=5, ends="interrupted")[:-1]
    again = ran("j", on="a", at=10, until=12, ends="error", epoch=2)
    assert [each.end for each in tracker_of(first, crashed("a", at=6, lost=["j"]), again).jobs["j"].attempts] == [
        "lost", "error",
    ]


def test_deleting_from_the_queue_leaves_the_one_that_runs() -> None:
    """Two of one id: the first runs, the second waits."""
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=1), submitted("j", on="a", at=2)
    attempts = tracker_of(pieces, taken_out("j", on="a", at=3), finished("j", on="a", at=4)).jobs["j"].attempts
    assert [each.end for each in attempts] == ["success", "deleted"]


def test_clearing_the_queue_ends_all_that_wait() -> None:
    cleared = QueueCleared(at_ms=5, instance="a", epoch=1, prompt_ids=("j@a", "k@a"), queue_remaining=0)
    attempts = tracker_of(submitted("j", on="a", at=1), submitted("k", on="a", at=1), cleared)
    assert [each.end for job in attempts.jobs.values() for each in job.attempts] == ["deleted", "deleted"]
    assert not attempts.instances["a"].open


def test_a_reset_forgets_what_waits_and_what_runs() -> None:
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=1), submitted("k", on="a", at=1)
    attempts = tracker_of(pieces, submitted("l", on="b", at=1), reset("a", at=5))
    assert [each.end for job in attempts.jobs.values() for each in job.attempts] == ["forgotten", "forgotten", None]
    assert all(jobs.running is None for jobs in attempts.instances.values())


def test_a_queue_that_outlasts_a_crash_waits_again() -> None:
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=2), crashed("a", at=3, kept=("queue",))
    attempt = one(pieces)
    assert (attempt.is_open, attempt.taken_ms, attempt.kill_seq) == (True, None, 4)
    assert one(pieces, taken("j", on="a", at=9, epoch=2), finished("j", on="a", at=10, epoch=2)).end == "success"


def test_only_a_crash_counts_as_a_kill() -> None:
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=2)
    assert one(pieces, crashed("a", at=3, lost=["j"], reason="stopped")).kill_seq == 0
    assert one(submitted("j", on="a", at=1), crashed("a", at=3, lost=["j"])).kill_seq == 0
