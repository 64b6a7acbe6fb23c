"""The journal: requests and messages by query, their number, their order, and the nearest miss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from comfyfarm.analysis.event_query import EventQuery, UnknownFact, frame, happened, request
from comfyfarm.analysis.journal import Journal, by_route, by_type
from comfyfarm.events import Event, FrameSent
from tests.support.logs import answered, asked, farm, log, ran, refused, seen, showed


def sent(type_: str, *, on: str, at: int, to: Iterable[str] = ("me",), job: str | None = None) -> Event:
    return FrameSent(at_ms=at, instance=on, epoch=1, type=type_, to=tuple(to), prompt_id=job and f"{job}@{on}")


EVENTS = log(
    farm("gpu-1", "gpu-2"),                                             # 1 to 3
    answered("j1", on="gpu-1", at=10, client="me"),                     # 4
    sent("executing", on="gpu-1", at=20, job="j1"),                     # 5
    sent("executed", on="gpu-1", at=30, job="j1", to=("me", "you")),    # 6
    seen("j1", on="gpu-1", at=40),                                      # 7
    asked("/api/history", on="gpu-1", at=50),                           # 8
    refused("j2", on="gpu-2", at=60),                                   # 9, 10
    asked("/api/userdata/a%20b.json", on="gpu-2", at=70, status=404),   # 11
    showed(0, on="gpu-2", at=80),                                       # 12
)
JOURNAL = Journal(EVENTS)


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (request(), [4, 7, 8, 10, 11]),
        (request(route="/prompt"), [4, 10]),
        (request(route="/history"), [8]),
        (request(route="/history*"), [7, 8]),
        (request(route="/userdata/a b.json"), [11]),
        (request(route="/api/history"), []),
        (request(method="post"), [4, 10]),
        (request(status=400), [10]),
        (request(instance="gpu-2"), [10, 11]),
        (request(instance="gpu-*", status=200), [4, 7, 8]),
        (request(prompt_id="j1@gpu-1"), [4, 7]),
        (request(job="j2"), [10]),
        (request(client="me"), [4]),
        (frame(), [5, 6, 12]),
        (frame(type="execut*"), [5, 6]),
        (frame(type="executed", client="you"), [6]),
        (frame(client="nobody"), []),
        (frame(prompt_id="j1@gpu-1", instance="gpu-1"), [5, 6]),
        (happened("prompt_refused"), [9]),
        (happened("prompt_refused", job="j2", missing=[]), [9]),
        (happened("prompt_refused", job="j*"), []),
        (happened("exchanged", path="/api/history"), [8]),
    ],
)
def test_what_is_asked_for_is_found(wanted: EventQuery, seqs: list[int]) -> None:
    assert [event.seq for event in JOURNAL.all(wanted)] == seqs
    assert JOURNAL.count(wanted) == len(seqs)


def test_requests_and_frames_are_asked_for_by_name() -> None:
    assert [each.status for each in JOURNAL.requests(route="/prompt")] == [200, 400]
    assert [each.to for each in JOURNAL.frames(type="executed")] == [("me", "you")]


def test_a_journal_is_gone_through_from_its_oldest_event() -> None:
    assert list(JOURNAL) == EVENTS
    assert len(JOURNAL) == 12


def test_a_journal_of_a_log_that_goes_on_goes_on_too() -> None:
    """Also during an iteration."""
    growing = EVENTS[:4]
    journal = Journal(growing)
    assert journal.count(request()) == 1
    for _ in journal:
        growing.append(EVENTS[6])
    assert journal.count(request()) == 5


@pytest.mark.parametrize("ask", [lambda: JOURNAL.requests(rout="/prompt"), lambda: JOURNAL.frames(status=200)])
def test_a_misspelt_word_is_told_at_once(ask: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        ask()


def test_an_event_that_cannot_be_is_told_at_once() -> None:
    """It would never be found, and a test for its absence would always pass."""
    with pytest.raises(UnknownFact, match=r"unknown kind 'finish' \(there are: cached, "):
        happened("finish")
    with pytest.raises(UnknownFact, match=r"finished: unknown field 'job' \(there are: .*status"):
        happened("finished", job="j1")


# In order.


def test_steps_that_came_in_order_are_told_with_their_events() -> None:
    order = JOURNAL.in_order(request(route="/prompt"), frame(type="executed"), request(route="/history/*"))
    assert order
    assert [event.seq for event in order.events] == [4, 6, 7]


def test_a_step_counts_only_behind_the_one_before_it() -> None:
    order = JOURNAL.in_order(frame(type="executed"), frame(type="executing"))
    assert not order
    assert order.says == (
        "no frame with type 'executing' came behind seq 6; the nearest of 1, seq 12 at 0.08 s: type is 'status',"
        " not 'executing'"
    )
    assert order.says in repr(order)    # what a failed assert shows
    assert [event.seq for event in order.events] == [6]


def test_the_same_step_twice_needs_two_events() -> None:
    assert JOURNAL.in_order(request(route="/prompt"), request(route="/prompt"))
    assert not JOURNAL.in_order(*[request(route="/prompt")] * 3)


# The nearest miss.


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            request(route="/prompt", instance="gpu-2", status=200),
            (
                "no request with route '/prompt' and instance 'gpu-2' and status 200 came; "
                "the nearest of 5, seq 10 at 0.06 s: status is 400, not 200"
            ),
        ),
        (
            frame(type="executing", client="you"),
            (
                "no frame with type 'executing' and client 'you' came; "
                "the nearest of 3, seq 5 at 0.02 s: client is ('me',), not 'you'"
            ),
        ),
        (happened("delivered", job="j1"), "no delivered with job 'j1' came; no delivered at all did"),
        (request(status=404), "request with status 404: seq 11 at 0.07 s"),
    ],
)
def test_what_did_not_come_is_told_by_what_came_nearest(wanted: EventQuery, said: str) -> None:
    assert JOURNAL.nearest(wanted) == said


# Counts.


def test_requests_are_counted_by_route_whatever_they_name() -> None:
    assert by_route(JOURNAL.requests()) == {
        "GET /history": 1,
        "GET /history/*": 1,
        "GET /userdata/*": 1,
        "POST /prompt": 2,
    }
    assert by_type(JOURNAL.frames()) == {"executed": 1, "executing": 1, "status": 1}


def test_a_journal_of_nothing_answers_too() -> None:
    empty = Journal(())
    assert empty.requests() == []
    assert empty.in_order()
    assert empty.nearest(request()) == "no request came; no request at all did"
    assert Journal(log(ran("j1", on="a", at=0, until=1))).in_order(happened("submitted"), happened("finished"))
