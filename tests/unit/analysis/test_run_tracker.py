"""The runs of attempts, and how they ended, as known from a log."""

from __future__ import annotations

from comfyfarm.events import QueueCleared
from tests.support.logs import crashed, finished, ran, reset, submitted, taken, taken_out
from tests.support.tracking import one, tracker_of


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
