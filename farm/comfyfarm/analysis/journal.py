"""What came to the farm and what it sent, for tests: look it up, count it, see it in order, or how near it came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from comfyfarm.analysis.event_query import EventQuery, frame, request
from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.events import Event, Exchanged, FrameSent

_WITH_A_NAME = ("/history/", "/jobs/", "/models/", "/object_info/", "/userdata/", "/view_metadata/")


@dataclass(frozen=True)
class Order:
    """Whether events came in an order; true where they did.

    :ivar says: one sentence in plain words.
    :ivar events: those that were found, up to the first that was not.
    """

    says: str
    is_met: bool = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)

    def __bool__(self) -> bool:
        """Whether all came, one behind the other."""
        return self.is_met


@dataclass(frozen=True)
class Journal:
    """The events of a farm, oldest first; of a long run those that its log still has (the latest 100,000).

    Of a farm in the test's own process it is always as the log is now; of any other it is as it was when it was asked.
    """

    _events: Iterable[Event] = field(repr=False)

    def __iter__(self) -> Iterator[Event]:
        """Every event."""
        return iter(tuple(self._events))    # the log may go on meanwhile

    def __len__(self) -> int:
        """How many there are."""
        return len(tuple(self._events))

    def all(self, wanted: EventQuery) -> list[Event]:
        """Those that are looked for."""
        return [each for each in self if wanted.is_met_by(each)]

    def requests(self, **facts: Any) -> list[Exchanged]:
        """The HTTP exchanges: ``requests(route="/prompt", instance="gpu-1")``.

        :param facts: see :func:`~comfyfarm.analysis.event_query.request`.
        """
        return cast(list[Exchanged], self.all(request(**facts)))

    def frames(self, **facts: Any) -> list[FrameSent]:
        """The websocket messages: ``frames(type="executing", client="me")``.

        :param facts: see :func:`~comfyfarm.analysis.event_query.frame`.
        """
        return cast(list[FrameSent], self.all(frame(**facts)))

    def count(self, wanted: EventQuery) -> int:
        """How many there are: ``count(request(route="/history*"))``."""
        return len(self.all(wanted))

    def in_order(self, *steps: EventQuery) -> Order:
        """Whether these came, each behind the one before, whatever else came between them."""
        found: list[Event] = []
        rest = iter(self)
        for each in steps:
            event = next((event for event in rest if each.is_met_by(event)), None)
            if event is None:
                behind = found[-1].seq if found else 0
                return Order(self._missed(each, behind), is_met=False, events=tuple(found))
            found.append(event)
        return Order(f"all {len(steps)} came in this order", is_met=True, events=tuple(found))

    def nearest(self, wanted: EventQuery) -> str:
        """Where nothing of the kind came: what came nearest to it, in words; where it came: when."""
        first = next(iter(self.all(wanted)), None)
        return self._missed(wanted, 0) if first is None else f"{wanted}: {_at(first)}"

    def _missed(self, wanted: EventQuery, behind: int) -> str:
        """What came nearest behind that ``seq``: the earliest of those that miss it by the fewest facts."""
        where = f" behind seq {behind}" if behind else ""
        come = [each for each in self if isinstance(each, wanted.kind) and each.seq > behind]
        if not come:
            return f"no {wanted} came{where}; no {wanted.name} at all did"
        nearest = min(come, key=wanted.distance)
        why = "; ".join(wanted.missed_by(nearest))
        return f"no {wanted} came{where}; the nearest of {len(come)}, {_at(nearest)}: {why}"


def _at(event: Event) -> str:
    return f"seq {event.seq} at {moment(event.at_ms)}"


def by_route(requests: Iterable[Exchanged]) -> dict[str, int]:
    """How many of each: ``POST /prompt``, ``GET /history/*``."""
    counted = Counter(f"{each.method} {_pattern(route_of(each.path))}" for each in requests)
    return dict(sorted(counted.items()))


def _pattern(route: str) -> str:
    return next((f"{each}*" for each in _WITH_A_NAME if route.startswith(each)), route)


def by_type(frames: Iterable[FrameSent]) -> dict[str, int]:
    """How many of each: ``status``, ``executing``."""
    return dict(sorted(Counter(each.type for each in frames).items()))
