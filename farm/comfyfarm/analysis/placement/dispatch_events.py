"""What is done with dispatches, in the order of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, NamedTuple

from comfyfarm.analysis.placement.dispatches import Dispatch


class DispatchEvent(NamedTuple):
    """One thing that happened to a job that was sent.

    :ivar seq: of the event that says so.
    """

    seq: int
    at_ms: int
    step: Literal["refused", "sent", "taken", "ended"]
    dispatch: Dispatch


def marks_of(dispatches: Iterable[Dispatch]) -> list[DispatchEvent]:
    """All that happened to all of them."""
    return sorted((mark for each in dispatches for mark in _marks(each)), key=attrgetter("seq"))


def _marks(dispatch: Dispatch) -> Iterator[DispatchEvent]:
    attempt = dispatch.attempt
    if not attempt.is_accepted:
        yield DispatchEvent(attempt.seq, attempt.sent_ms, "refused", dispatch)
        return
    yield DispatchEvent(attempt.seq, attempt.sent_ms, "sent", dispatch)
    if dispatch.taken_ms is not None:
        yield DispatchEvent(dispatch.taken_seq, dispatch.taken_ms, "taken", dispatch)
    if attempt.ended_ms is not None:
        yield DispatchEvent(attempt.end_seq, attempt.ended_ms, "ended", dispatch)


@dataclass(frozen=True)
class Window:
    """The time in which there was work.

    :ivar from_ms: when the first job was sent that was taken on.
    :ivar to_ms: when the last of them ended; the moment of the judgement while some are open.
    """

    from_ms: int
    to_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.to_ms - self.from_ms


def window_of(dispatches: Iterable[Dispatch], at_ms: int) -> Window | None:
    """The time in which these jobs were there; ``None`` where none was taken on."""
    accepted = [each.attempt for each in dispatches if each.attempt.is_accepted]
    if not accepted:
        return None
    ends = [at_ms if each.ended_ms is None else each.ended_ms for each in accepted]
    return Window(min(each.sent_ms for each in accepted), max(ends))
