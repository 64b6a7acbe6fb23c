"""Routes of the event log: a list and a stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice

from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.websocket import WebSocketResource

from comfyfarm.analysis.trials import UnknownTrial
from comfyfarm.control.routing import ApiError, Raw, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import LINES
from comfyfarm.control.schema.farm import LogFilter, LogQuery
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_json
from comfyfarm.events.filters import EventFilter, all_kinds
from comfyfarm.events.line_writer import LineWriter
from comfyfarm.server.farm import Farm
from comfyfarm.server.time.turns import in_turns
from comfyfarm.server.websocket.connection import ServerProtocol, frame

_EVENTS_IN_A_TURN = 250


@route(endpoints.GET_LOG)
async def get_log(farm: Farm, query: LogQuery) -> Raw:
    """Return the events of the log, as lines of JSON, oldest first.

    The latest 100,000 are kept; ``[farm] log`` writes all of them to a file.  Without any filter the lines are those
    of the file (docs/log-lines.md); with one, even ``since=0``, each event is a line that has all its fields.
    """
    events, count = farm.log.events, len(farm.log.events)
    if query == LogQuery():
        return await farm.snapshots.run(lambda: Raw(LineWriter().lines(tuple(events)), LINES), count)
    event_filter = _filter(farm, query)
    try:
        kept = events if query.trial is None else farm.analysis.journal(query.trial)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error
    return await farm.snapshots.run(lambda: Raw(_whole_lines(kept, event_filter, query.limit), LINES), count)


def _whole_lines(events: Iterable[Event], event_filter: EventFilter, limit: int | None) -> bytes:
    taken = islice((event for event in events if event_filter.takes(event)), limit)
    return b"".join(as_json(event) + b"\n" for event in taken)


@route(endpoints.STREAM_LOG)
def get_stream(farm: Farm, query: LogFilter) -> WebSocketResource:
    """Open a websocket that sends each event as it happens, one message of JSON each.

    With ``since``, the events that the log has kept come first.  A client that falls behind by more than the log keeps
    is cut off, with the ``seq`` that it has got to.
    """
    return WebSocketResource(_Streams(farm, _filter(farm, query), query.since is not None))


def _filter(farm: Farm, query: LogFilter) -> EventFilter:
    if query.instance and query.instance not in farm.backends:
        raise ApiError(422, f"instance: there is no {query.instance!r} (there are: {', '.join(farm.backends)})")
    kinds = None if query.kind is None else query.kind.split(",")
    for kind in kinds or ():
        if kind not in all_kinds():
            raise ApiError(422, f"kind: unknown kind {kind!r} (there are: {', '.join(all_kinds())})")
    return EventFilter(query.instance, kinds, query.prompt_id, query.since or 0)


@dataclass(frozen=True)
class _Streams:
    """The factory of the protocols of one stream."""

    farm: Farm
    event_filter: EventFilter
    with_kept: bool

    def buildProtocol(self, request: IRequest) -> _Stream:
        return _Stream(self.farm, self.event_filter, self.with_kept)


@dataclass(eq=False)
class _Stream(ServerProtocol):
    """Sends the events of the log as fast as the client reads, some in each turn of the reactor.

    What the client has not read yet stays in the log only.

    :ivar _seq: of the last event that was sent or left out.
    :ivar _last_seq: of the last event that may be sent: the log file has it, too.
    """

    farm: Farm
    event_filter: EventFilter
    with_kept: bool
    _seq: int = 0
    _last_seq: int = 0
    _is_sending: bool = False
    _unsubscribe: Callable[[], None] | None = None

    def negotiationFinished(self) -> None:
        """Send the events that are kept, if requested, and subscribe."""
        super().negotiationFinished()
        log = self.farm.log
        self._last_seq = log.seq
        self._seq = max(self.event_filter.since, log.events[0].seq - 1) if self.with_kept else log.seq
        self.writer.on_drained = self._send
        self._unsubscribe = log.listen(self._on_event)
        self._send()

    def _on_event(self, event: Event) -> None:
        self._last_seq = event.seq
        self._send()

    def _send(self) -> None:
        if not self._is_sending:
            in_turns(self.farm.reactor, lambda act: act(), self._turns())

    def _turns(self) -> Generator[None, None, None]:
        self._is_sending = True
        try:
            while self._can_send and self._send_some() and self._can_send:
                yield
        finally:
            self._is_sending = False

    @property
    def _can_send(self) -> bool:
        return self._seq < self._last_seq and not self.writer.has_backlog and not self.writer.is_over

    def _send_some(self) -> bool:
        """Send the next events; return False, and close the connection, if the log no longer has them."""
        events = self.farm.log.events
        index = self._seq + 1 - events[0].seq
        if index < 0:
            self.writer.close(1008, f"too slow: the log no longer has the events after {self._seq}")
            return False
        end = min(index + _EVENTS_IN_A_TURN, self._last_seq + 1 - events[0].seq)
        for event in [events[place] for place in range(index, end)]:      # islice would walk from the oldest
            if self.writer.has_backlog:
                break
            self._seq = event.seq
            if self.event_filter.takes(event):
                self.farm.flush_log()
                self.writer.write(frame(as_json(event).decode()))
        return True

    def connectionLost(self, reason: Failure) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
