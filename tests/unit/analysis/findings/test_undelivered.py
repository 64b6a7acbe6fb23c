"""Findings about orders without a result: each with a log that proves it, and similar ones that do not."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from comfyfarm import events
from comfyfarm.analysis.trials import Trials
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.events.orders import DeliveryMode, OrderState
from tests.support import judging
from tests.support.logs import (
    Piece,
    answered,
    asked,
    crashed,
    delivered,
    farm,
    fetched,
    finished,
    forgot_history,
    interrupt,
    log,
    order,
    ran,
    refused,
    rejected,
    seen,
    socket_closed,
    socket_opened,
    submitted,
    taken,
    trial,
)

LATER = events.Judged(at_ms=90_000)
H1, H2 = "0" * 16, "1" * 16

verdict_of = partial(judging.verdict_of, delivery=None)
found = partial(judging.found, delivery=None)
only = partial(judging.only, delivery=None)
sentence = partial(judging.sentence, delivery=None)


def picture(job: str, *, on: str = "a", at: int = 0, until: int = 3_000, **more: Any) -> Piece:
    """A job that made a file of its name."""
    return ran(job, on=on, at=at, until=until, file=f"{job}.png", **more)


def got(job: str, *, on: str = "a", at: int = 5_000) -> Piece:
    return fetched(f"{job}.png", on=on, at=at)


def ends(verdict: Verdict) -> tuple[str, int, int, int, int]:
    return verdict.verdict, verdict.orders, verdict.delivered, verdict.told, verdict.withdrawn


# Orphaned: nobody has taken the result.


def test_what_nobody_fetched_is_orphaned_if_others_are_fetched() -> None:
    pieces = farm("a"), picture("j"), picture("k", until=4_000), seen("j", on="a", at=5_000), got("k")
    finding = only(*pieces, LATER)
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("orphaned", "error", "j", "a")
    assert finding.says == "j succeeded on a at 3 s, and nobody has taken its result so far."
    assert found(*pieces, got("j", at=6_000), LATER) == []


def test_a_client_has_time_to_fetch_a_result() -> None:
    pieces = farm("a"), picture("j"), picture("k"), got("k")
    finding = only(*pieces)
    assert (finding.finding, finding.severity) == ("unfinished", "unknown")
    assert finding.says == "j succeeded on a at 3 s, and its result has not been taken so far."
    assert verdict_of(*pieces, reaction=0).verdict == "fail"


def test_what_has_no_file_is_taken_by_being_seen() -> None:
    runs = farm("a"), ran("j", on="a", at=0, until=3_000), ran("k", on="a", at=0, until=4_000), LATER
    assert found(*runs, seen("k", on="a", at=5_000)) == [("orphaned", "j", "a")]
    assert found(*runs, seen("k", on="a", at=5_000), seen("j", on="a", at=5_000)) == []
    assert found(*runs, asked("/history", on="a", at=5_000)) == []
    assert found(*runs, asked("/history", on="a", at=3_500)) == [("orphaned", "k", "a")]


def test_what_was_reported_as_delivered_is_not_orphaned() -> None:
    runs = farm("a"), picture("j"), picture("k"), LATER
    assert found(*runs, delivered("k", at=5_000)) == [("orphaned", "j", "a")]
    assert found(*runs, delivered("k", at=5_000), delivered("j", at=5_000)) == []


def test_a_history_that_was_forgotten_shows_nobody_anything() -> None:
    runs = farm("a"), ran("j", on="a", at=0, until=3_000), ran("k", on="a", at=0, until=3_000)
    looks = seen("k", on="a", at=4_000), seen("j", on="a", at=6_000), LATER
    assert found(*runs, looks, forgot_history("j", on="a", at=5_000)) == [("orphaned", "j", "a")]
    assert found(*runs, looks, crashed("a", at=5_000, kept=("history",))) == []


def test_an_orphan_names_its_cause() -> None:
    other = farm("a", "b"), picture("k", on="b"), got("k", on="b"), LATER
    run = taken("j", on="a", at=1_000), finished("j", on="a", at=9_000)
    sent = submitted("j", on="a", at=1_000)
    known = ran("l", on="b", at=0, until=4_000), seen("l", on="b", at=5_000)
    lost_reply = answered("j", on="a", at=8_000, status=0, began=1_000)
    assert sentence(*other, known, sent, run, lost_reply).endswith(": the answer to its submission at 1 s never came.")
    cut = fetched("j.png", on="a", at=9_500, damage="cut", size_bytes=7)
    assert sentence(*other, picture("j", until=9_000), cut).endswith(
        ": the answer of a to GET /view for j.png at 9.5 s was only a part of it."
    )
    again = ran("j", on="b", at=8_500, until=8_600, ends="error")
    assert sentence(*other, known, sent, run, again).endswith(": it was sent again, to b, at 8.5 s.")
    gone = socket_closed("c", on="a", at=8_000)
    assert sentence(*other, known, sent, run, gone).endswith(": its client's websocket was gone by then.")


def test_each_of_several_runs_of_a_prompt_without_a_name_is_wanted() -> None:
    runs = [ran(H1, on="a", at=0, until=3_000 + n, file=f"{n}.png", prompt_id=f"{n}@a") for n in range(3)]
    fetches = [fetched(f"{n}.png", on="a", at=5_000) for n in range(3)]
    verdict = verdict_of(farm("a"), runs, fetches, LATER)
    assert ends(verdict) == ("pass", 3, 3, 0, 0)
    assert found(farm("a"), runs, fetches[1:], LATER)[0] == ("orphaned", H1, "a")


# Nothing taken: it is not known what counts as delivered.


def test_nobody_can_know_what_users_got_if_nobody_ever_took_anything() -> None:
    pieces = farm("a"), picture("j"), seen("j", on="a", at=5_000), LATER
    verdict = verdict_of(*pieces)
    (finding,) = verdict.findings
    assert (verdict.verdict, verdict.delivery, finding.finding) == ("unknown", "", "nothing_taken")
    assert finding.says == (
        "1 job succeeded and nobody fetched a file of any of them, so that the farm cannot know if any user got a "
        'picture. Let the test state what counts as delivered: delivery = "http", "told", "folder" or "none".'
    )


@pytest.mark.parametrize("delivery", ["folder", "none"])
def test_what_succeeded_is_delivered_if_the_test_says_so(delivery: DeliveryMode) -> None:
    verdict = judging.verdict_of(farm("a"), picture("j"), LATER, delivery=delivery)
    assert (*ends(verdict), verdict.delivery) == ("pass", 1, 1, 0, 0, delivery)


@pytest.mark.parametrize("delivery", ["http", "told"])
def test_what_nobody_took_is_orphaned_if_the_test_says_that_it_is_taken(delivery: DeliveryMode) -> None:
    assert judging.found(farm("a"), picture("j"), LATER, delivery=delivery) == [("orphaned", "j", "a")]


def test_a_trial_states_what_counts_as_delivered() -> None:
    assert found(farm("a"), trial(delivery="folder"), picture("j", at=1), LATER) == []
    assert found(farm("a"), trial(delivery="http"), picture("j", at=1), LATER) == [("orphaned", "j", "a")]


# Undelivered: orders by name.


def test_a_fetched_picture_that_is_never_delivered_is_an_error_if_deliveries_are_reported() -> None:
    pieces = farm("a"), picture("j"), picture("k"), got("j"), got("k"), delivered("k", at=6_000)
    finding = only(*pieces, LATER)
    assert (finding.finding, finding.severity, finding.job) == ("undelivered", "error", "j")
    assert finding.says == (
        "j succeeded on a at 3 s and its result was taken, but no delivery to its user has been reported so far."
    )
    assert [name for name, _, _ in found(*pieces)] == ["unfinished"]


def test_an_order_that_nothing_was_sent_for_is_an_error() -> None:
    pieces = farm("a"), order("j", at=100), order("k", at=100), picture("k", at=200), got("k")
    finding = only(*pieces, LATER)
    assert (finding.finding, finding.severity, finding.job) == ("undelivered", "error", "j")
    assert finding.says == "j was ordered at 0.1 s, and nothing has been sent for it so far."
    verdict = verdict_of(*pieces, LATER)
    assert (*ends(verdict), verdict.basis) == ("fail", 2, 1, 0, 0, "names")


@pytest.mark.parametrize(("state", "told", "withdrawn"), [("failed", 1, 0), ("withdrawn", 0, 1)])
def test_an_order_that_failed_with_a_word_or_was_withdrawn_is_settled(
    state: OrderState, told: int, withdrawn: int
) -> None:
    asked_for = farm("a"), order("j", at=0), submitted("j", on="a", at=10)
    lost = *asked_for, crashed("a", at=20, lost=["j"]), order("j", at=50_000, state=state), LATER
    broken = *asked_for, finished("j", on="a", at=20, ends="error"), order("j", at=50_000, state=state), LATER
    for pieces in (lost, broken):
        assert ends(verdict_of(*pieces)) == ("pass", 1, 0, told, withdrawn)


def test_an_order_that_failed_without_a_word_is_an_error() -> None:
    pieces = farm("a"), order("j", at=0), ran("j", on="a", at=10, until=3_000, ends="error")
    assert only(*pieces).finding == "unfinished"
    finding = only(*pieces, LATER)
    assert (finding.finding, finding.severity) == ("undelivered", "error")
    assert finding.says.startswith("j ended in an error on a at 3 s")
    assert finding.says.endswith(", and its user has not been told so far.")


@pytest.mark.parametrize(
    "pieces",
    [
        ran("j", on="a", at=0, until=9, ends="error"),
        refused("j", on="a", at=9),
        [submitted("j", on="a", at=0), taken("j", on="a", at=1), interrupt(on="a", at=5, hit="j"),
         finished("j", on="a", at=9, ends="interrupted")],
    ],
)
def test_without_orders_it_is_not_known_if_the_user_of_a_failed_job_was_told(pieces: Piece) -> None:
    verdict = judging.verdict_of(farm("a"), pieces, LATER)
    assert [(finding.finding, finding.severity) for finding in verdict.findings] == [("undelivered", "unknown")]
    assert verdict.basis == "prompts"
    assert "it was not reported if its user was told" in verdict.findings[0].says


def test_an_interrupt_by_name_withdraws_a_job_unless_withdrawals_are_reported() -> None:
    stopped = submitted("j", on="a", at=0), taken("j", on="a", at=1), interrupt(on="a", at=5, meant="j@a", hit="j")
    pieces = farm("a"), order("j", at=0), stopped, finished("j", on="a", at=9, ends="interrupted"), LATER
    assert ends(verdict_of(*pieces)) == ("pass", 1, 0, 0, 1)
    other = order("k", at=2), order("k", at=3, state="withdrawn")
    assert found(*pieces, other) == [("undelivered", "j", "")]


# A count of orders.


def test_fewer_results_than_orders_are_an_error_once_nothing_is_open() -> None:
    pieces = farm("a"), trial(jobs=3), picture("j", at=1), picture("k", at=1), got("j"), got("k")
    verdict = verdict_of(*pieces, LATER)
    assert (*ends(verdict), verdict.basis) == ("fail", 3, 2, 0, 0, "count")
    assert verdict.findings[0].says == (
        "3 orders were announced: 2 were delivered, 0 failed and their users were told, 0 were withdrawn, and the "
        "users of the other 1 have got nothing so far; 2 jobs were sent in all."
    )
    assert verdict_of(*pieces).verdict == "unknown"
    assert verdict_of(*pieces, picture("l", at=1), got("l"), LATER).verdict == "pass"


def test_fewer_named_orders_than_were_announced_are_an_error() -> None:
    begun = farm("a"), trial(jobs=2), order("j", at=1), picture("j", at=2), got("j")
    assert [(finding.finding, finding.severity) for finding in verdict_of(*begun).findings] == [
        ("undelivered", "unknown")
    ]
    assert found(*begun, LATER) == [("undelivered", "", "")]
    assert found(*begun, order("k", at=3), LATER) == [("undelivered", "k", "")]     # said once


def test_orders_of_a_trial_that_has_just_begun_are_not_late() -> None:
    trials = Trials()
    for event in log(farm("a"), trial("old"), picture("j", at=1), got("j"), trial("new", at=80_000, jobs=3), LATER):
        trials.on_event(event)
    findings = trials.find("new").verdict().findings
    assert [(finding.finding, finding.severity) for finding in findings if finding.severity != "note"] == [
        ("no_job", "unknown"), ("undelivered", "unknown"),
    ]


def test_a_retry_under_another_seed_is_known_by_the_count() -> None:
    lost = submitted(H1, on="a", at=1), crashed("a", at=4_000, lost=[H1])
    again = ran(H2, on="b", at=5_000, until=6_000, file="2.png"), fetched("2.png", on="b", at=7_000)
    pieces = farm("a", "b"), lost, again
    assert verdict_of(*pieces, LATER).verdict == "unknown"
    assert ends(verdict_of(*pieces, trial(jobs=1), LATER)) == ("pass", 1, 1, 0, 0)


def test_more_runs_without_a_name_than_orders_ran_twice() -> None:
    runs = picture(H1, at=1), picture(H2, at=2), got(H1), got(H2)
    assert verdict_of(farm("a"), trial(jobs=2), runs, LATER).verdict == "pass"
    finding = only(farm("a"), trial(jobs=1), runs, LATER)
    assert (finding.finding, finding.severity) == ("ran_twice", "error")
    assert finding.says == "2 jobs ran to their end for 1 orders; 2 of them had no name."


def test_pictures_over_the_websocket_are_taken_by_receiving_them() -> None:
    job: dict[str, Any] = {"instance": "a", "epoch": 1, "prompt_id": "j@a"}
    preview = events.Preview(64, 64, "image/png")
    sent = events.PictureSent(at_ms=2_000, node="9", value=1, max=1, preview=preview, **job)
    pieces = farm("a"), socket_opened(on="a", at=0), ran("j", on="a", at=0, until=3_000), sent, LATER
    frame = events.FrameSent(at_ms=2_000, type="binary-1", to=("c",), is_result=True, **job)
    assert found(*pieces, seen("j", on="a", at=5_000)) == [("orphaned", "j", "a")]
    assert found(*pieces, frame) == []


def test_a_broken_delivery_is_none() -> None:
    broken = delivered("j", at=5_000, content="empty")
    verdict = verdict_of(farm("a"), order("j", at=0), picture("j", at=1), got("j", at=4_000), broken, LATER)
    assert [finding.finding for finding in verdict.findings] == ["broken_delivery"]
    assert ends(verdict) == ("fail", 1, 0, 0, 0)


def test_deliveries_under_names_that_no_prompt_had_stand_for_the_fetched_pictures() -> None:
    runs = [ran(H1, on="a", at=0, until=3_000, file="1.png"), ran(H2, on="a", at=0, until=3_000, file="2.png")]
    fetches = [fetched(f"{n}.png", on="a", at=4_000) for n in (1, 2)]
    reports = [delivered("order-1", at=5_000), delivered("order-2", at=5_000)]
    assert found(farm("a"), runs, fetches, reports, LATER) == []
    assert found(farm("a"), runs, fetches[1:], reports, LATER) == [("orphaned", H1, "a")]


# Contradicted.


def test_a_user_who_was_told_of_a_failure_and_got_the_picture_was_told_two_things() -> None:
    pieces = farm("a"), order("j", at=0), picture("j", at=1), got("j"), order("j", at=6_000, state="failed")
    finding = only(*pieces, delivered("j", at=7_000))
    assert (finding.finding, finding.severity) == ("contradicted", "error")
    assert finding.says == "The user of j was told at 6 s that it had failed, and it was delivered at 7 s."


def test_a_failure_that_was_none_is_a_warning() -> None:
    pieces = farm("a"), order("j", at=0), picture("j", at=1), order("j", at=6_000, state="failed"), LATER
    finding = only(*pieces)
    assert (finding.finding, finding.severity) == ("contradicted", "warning")
    assert finding.says == "The user of j was told at 6 s that it had failed, but it succeeded on a at 3 s."


def refused_three_times(job: str = "j") -> list[Piece]:
    return [farm("a", "b"), *(rejected(job, on="a", at=at, status=503) for at in (0, 5_000, 15_000))]


def test_who_tries_often_enough_and_gives_up_must_tell_the_user() -> None:
    orders = order("j", at=0), order("j", at=20_000, state="failed", why="no server")
    assert sentence_of_undelivered(*refused_three_times(), orders[0], LATER) == (
        "j was refused by a at 15 s (503), and its user has not been told so far."
    )
    assert "undelivered" not in names_of(*refused_three_times(), *orders, LATER)
    assert verdict_of(*refused_three_times(), LATER).verdict == "unknown"     # nobody said what its user was told
    soon = events.Judged(at_ms=40_000)
    assert names_of(*refused_three_times(), orders[0], soon) == {"unfinished"}


def names_of(*pieces: Piece) -> set[str]:
    return {finding.finding for finding in verdict_of(*pieces).findings} - {"instance_never_used"}


def sentence_of_undelivered(*pieces: Piece) -> str:
    (finding,) = (finding for finding in verdict_of(*pieces).findings if finding.finding == "undelivered")
    assert finding.severity == "error"
    return finding.says
