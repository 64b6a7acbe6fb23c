"""The journal of a farm for tests: find, count and order requests and websocket messages."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

from comfyfarm.analysis.event_query import EventQuery, frame, request
from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.events import Event, Exchanged, FrameSent

_PREFIXES_OF_NAMES = ("/history/", "/jobs/", "/models/", "/object_info/", "/userdata/", "/view_metadata/")


@dataclass(frozen=True)
class EventOrder:
    """The result of :meth:`Journal.in_order`; true if all events came in the given order.

    :ivar says: one sentence in plain words.
    :ivar events: the events that were found, up to the first that was not.
    """

    says: str
    is_met: bool = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)

    def __bool__(self) -> bool:
        return self.is_met


@dataclass(frozen=True)
class Journal:
    """The events of a trial, oldest first; of a long run those that its log still has (the latest 100,000).

    For a farm in the test's own process it always shows the present log; for any other, the log at the time of the
    request.
    """

    _events: Iterable[Event] = field(repr=False)
    _first_seq: int = field(default=0, repr=False)
    _last_seq: int | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Event]:
        events = tuple(self._events)    # A copy: the log may grow during the iteration.
        last_seq = inf if self._last_seq is None else self._last_seq
        return (event for event in events if self._first_seq <= event.seq <= last_seq)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def all(self, query: EventQuery) -> list[Event]:
        """Return the events that match a query."""
        return [event for event in self if query.matches(event)]

    def requests(self, **facts: Any) -> list[Exchanged]:
        """Return the exchanges that match ``request(**facts)``: ``requests(route="/prompt", instance="gpu-1")``."""
        return cast(list[Exchanged], self.all(request(**facts)))

    def frames(self, **facts: Any) -> list[FrameSent]:
        """Return the messages that match ``frame(**facts)``: ``frames(type="executing", client="me")``."""
        return cast(list[FrameSent], self.all(frame(**facts)))

    def count(self, query: EventQuery) -> int:
        """Count the events that match a query: ``count(request(route="/history*"))``."""
        return len(self.all(query))

    def in_order(self, *queries: EventQuery) -> EventOrder:
        """Check that events matching these queries came in this order; others may lie between them."""
        found: list[Event] = []
        rest = iter(self)
        for query in queries:
            event = next((event for event in rest if query.matches(event)), None)
            if event is None:
                after_seq = found[-1].seq if found else 0
                return EventOrder(self._explain_miss(query, after_seq), is_met=False, events=tuple(found))
            found.append(event)
        return EventOrder(f"all {len(queries)} came in this order", is_met=True, events=tuple(found))

    def nearest(self, query: EventQuery) -> str:
        """Describe the first match of a query or, if there is none, the event nearest to it."""
        first = next(iter(self.all(query)), None)
        return self._explain_miss(query, 0) if first is None else f"{query}: {_at(first)}"

    def _explain_miss(self, query: EventQuery, after_seq: int) -> str:
        where = f" behind seq {after_seq}" if after_seq else ""
        candidates = [event for event in self if isinstance(event, query.kind) and event.seq > after_seq]
        if not candidates:
            return f"no {query} came{where}; no {query.name} at all did"
        nearest = min(candidates, key=query.distance)
        why = "; ".join(query.mismatches(nearest))
        return f"no {query} came{where}; the nearest of {len(candidates)}, {_at(nearest)}: {why}"


def _at(event: Event) -> str:
    return f"seq {event.seq} at {moment(event.at_ms)}"


def by_route(requests: Iterable[Exchanged]) -> dict[str, int]:
    """Count requests by method and route: ``POST /prompt``, ``GET /history/*``."""
    counts = Counter(f"{exchange.method} {_pattern(route_of(exchange.path))}" for exchange in requests)
    return dict(sorted(counts.items()))


def _pattern(route: str) -> str:
    return next((f"{prefix}*" for prefix in _PREFIXES_OF_NAMES if route.startswith(prefix)), route)


def by_type(frames: Iterable[FrameSent]) -> dict[str, int]:
    """Count messages by type: ``status``, ``executing``."""
    return dict(sorted(Counter(message.type for message in frames).items()))
