"""The attempts of logical jobs as known from a log."""

from __future__ import annotations

from tests.support.logs import answered, ran, refused, rejected, submitted
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
