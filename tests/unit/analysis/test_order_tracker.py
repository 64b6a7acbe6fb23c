"""Orders as they were reported."""

from __future__ import annotations

from tests.support.logs import order, submitted
from tests.support.tracking import tracker_of


def test_an_order_has_the_moment_at_which_the_user_asked_whenever_that_is_reported() -> None:
    failed = order("a", at=600, state="failed")
    reported = tracker_of(order("a", at=500, when=20), submitted("a", on="x", at=30), failed).jobs["a"].order
    assert reported is not None
    assert (reported.asked_ms, reported.seq, reported.failed_seq) == (20, 2, 3)


def test_an_order_that_nothing_was_sent_for_is_a_job_without_attempts() -> None:
    (job,) = tracker_of(order("a", at=5, state="withdrawn")).tested
    assert job.order is not None
    assert (job.name, len(job.attempts), job.order.withdrawn_seq) == ("a", 0, 1)
