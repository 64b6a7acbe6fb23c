"""What is done with dispatches, in the order of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Literal, NamedTuple

from .dispatches import Dispatch

__all__ = ["Mark", "marks_of"]


class Mark(NamedTuple):
    """One thing that happened to a job that was sent.

    :ivar seq: of the event that says so.
    """

    seq: int
    at_ms: int
    step: Literal["refused", "sent", "taken", "ended"]
    dispatch: Dispatch


def marks_of(dispatches: Iterable[Dispatch]) -> list[Mark]:
    """All that happened to all of them."""
    return sorted((mark for each in dispatches for mark in _marks(each)), key=attrgetter("seq"))


def _marks(dispatch: Dispatch) -> Iterator[Mark]:
    attempt = dispatch.attempt
    if not attempt.is_accepted:
        yield Mark(attempt.seq, attempt.sent_ms, "refused", dispatch)
        return
    yield Mark(attempt.seq, attempt.sent_ms, "sent", dispatch)
    if dispatch.taken_ms is not None:
        yield Mark(dispatch.taken_seq, dispatch.taken_ms, "taken", dispatch)
    if attempt.ended_ms is not None:
        yield Mark(attempt.end_seq, attempt.ended_ms, "ended", dispatch)
