"""The time that a client has before its job counts as lost."""

from __future__ import annotations

from tests.support.judging import found, sentence, used
from tests.support.logs import (
    asked,
    crashed,
    draining,
    farm,
    ready,
    refused,
    started,
    submitted,
)


def test_a_lost_job_may_wait_while_all_that_is_left_shall_get_no_work() -> None:
    pieces = farm("a", "b"), used("a", "b"), submitted("j", on="a", at=1_000), crashed("a", at=2_000, lost=["j"])
    later = asked("/object_info", on="b", at=90_000)
    assert found(*pieces, later) == [("lost", "j", "a")]
    assert found(*pieces, draining("b", at=1_500), later) == [("unfinished", "j", "a")]
    assert found(*pieces, draining("b", at=1_500), draining("b", at=50_000, ends=True), later) == [("lost", "j", "a")]
    short = *pieces, draining("b", at=1_500), draining("b", at=70_000, ends=True), later
    assert sentence(*short).startswith("j was lost")


def test_a_lost_job_may_wait_while_nobody_is_left_that_has_what_it_needs() -> None:
    refusal = refused("j", on="b", at=500, missing=["m"])
    loss = submitted("j", on="a", at=1_000), crashed("a", at=2_000, lost=["j"])
    pieces = farm("a", "b"), used("a", "b"), refusal, *loss
    later = asked("/object_info", on="b", at=90_000)
    assert sentence(*pieces, later) == (
        "j was lost with a at 2 s, and no instance has been available since to send it to again."
    )
    back = started("a", at=40_000), ready("a", at=40_000, epoch=2)
    assert found(*pieces, back, later) == [("lost", "j", "a")]
