"""The steps of all dispatches in the order of the log, and the window of time that they span."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

import msgspec

from comfyfarm.analysis.placement.arrival import JobArrival
from comfyfarm.analysis.placement.dispatches import Dispatch


class DispatchEvent(msgspec.Struct, frozen=True, gc=False):
    """One step of a dispatch."""

    seq: int
    at_ms: int
    step: Literal["refused", "sent", "taken", "ended"]
    dispatch: Dispatch


def dispatch_events(dispatches: Iterable[Dispatch]) -> list[DispatchEvent]:
    """Return the steps of all these dispatches, in the order of the log."""
    return sorted((event for dispatch in dispatches for event in _events_of(dispatch)), key=attrgetter("seq"))


def _events_of(dispatch: Dispatch) -> Iterator[DispatchEvent]:
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

    :ivar from_ms: the arrival of the first job that was accepted.
    :ivar to_ms: when the last of the accepted jobs ended; the latest event if some are open.
    """

    from_ms: int
    to_ms: int

    @property
    def length_ms(self) -> int:
        return self.to_ms - self.from_ms


def window_of(dispatches: Iterable[Dispatch], arrivals: Mapping[str, JobArrival], at_ms: int) -> Window | None:
    """Return the window of these dispatches; ``None`` if none was accepted.

    :param arrivals: by logical job.
    """
    accepted = [dispatch.attempt for dispatch in dispatches if dispatch.attempt.is_accepted]
    if not accepted:
        return None
    ends = [at_ms if attempt.ended_ms is None else attempt.ended_ms for attempt in accepted]
    return Window(min(arrivals[attempt.job].at_ms for attempt in accepted), max(ends))
