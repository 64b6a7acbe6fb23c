"""Routes of the event log: a list and a stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.websocket import WebSocketResource

from comfyfarm.analysis.trials import UnknownTrial
from comfyfarm.control.routing import ApiError, Raw, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import LINES
from comfyfarm.control.schema.farm import LogFilter, LogQuery, StreamQuery
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_json
from comfyfarm.events.filters import EventFilter, all_kinds
from comfyfarm.events.line_writer import LineWriter
from comfyfarm.server.farm import Farm
from comfyfarm.server.time.turns import in_turns
from comfyfarm.server.websocket.connection import ServerProtocol, frame

_EVENTS_IN_A_TURN = 250
_BATCH_S = 0.05     # of real time, in which the events of one batch come together


@route(endpoints.GET_LOG)
async def get_log(farm: Farm, query: LogQuery) -> Raw:
    """Return the events of the log, as lines of JSON, oldest first.

    The latest 100,000 are kept; ``[farm] log`` writes all of them to a file.  Without any filter the lines are those
    of the file (docs/log-lines.md); with one, even ``since=0``, each event is a line that has all its fields.
    """
    if query == LogQuery():
        return await _joined(farm, LineWriter().each_line(tuple(farm.log.events)))
    event_filter = _filter(farm, query)
    try:
        kept = _since(farm, query) if query.trial is None else farm.analysis.journal(query.trial)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error
    return await _joined(farm, _lines(kept, event_filter, query.limit))


def _since(farm: Farm, query: LogQuery) -> Sequence[Event]:
    """Return a copy of the kept events after ``since``, without a look at those before."""
    events = tuple(farm.log.events)
    return events[max(0, (query.since or 0) + 1 - events[0].seq) :] if events else ()


def _lines(events: Iterable[Event], event_filter: EventFilter, limit: int | None) -> Iterator[bytes]:
    """Yield a line for each event, empty if the filter does not take it, up to the limit."""
    for event in events:
        if not event_filter.takes(event):
            yield b""
            continue
        yield as_json(event) + b"\n"
        limit = None if limit is None else limit - 1
        if limit == 0:
            return


async def _joined(farm: Farm, lines: Iterator[bytes]) -> Raw:
    """Return all the lines, which are made in turns of the reactor."""

    def turns() -> Generator[None, None, bytes]:
        parts = []
        for part in lines:
            parts.append(part)
            if not len(parts) % _EVENTS_IN_A_TURN:
                yield
        return b"".join(parts)

    return Raw(await in_turns(farm.reactor, turns()), LINES)


@route(endpoints.STREAM_LOG)
def get_stream(farm: Farm, query: StreamQuery) -> WebSocketResource:
    """Open a websocket that sends each event as it happens, one message of JSON each, or with ``batch`` those
    of 50 ms of real time together.

    With ``since``, the events that the log has kept come first.  A client that falls behind by more than the log keeps
    is cut off, with the ``seq`` that it has got to.
    """
    return WebSocketResource(_Streams(farm, _filter(farm, query), query))


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
    query: StreamQuery

    def buildProtocol(self, request: IRequest) -> _Stream:
        return _Stream(self.farm, self.event_filter, self.query.since is not None, self.query.batch)


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
    is_batched: bool
    _seq: int = 0
    _last_seq: int = 0
    _is_sending: bool = False
    _batch: IDelayedCall | None = None
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
        if not self.is_batched:
            self._send()
        elif self._batch is None:
            self._batch = self.farm.reactor.callLater(_BATCH_S, self._send_batch)

    def _send_batch(self) -> None:
        self._batch = None
        self._send()

    def _send(self) -> None:
        if not self._is_sending:
            in_turns(self.farm.reactor, self._turns())

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
        due = [events[place] for place in range(index, end)]      # islice would walk from the oldest
        if self.is_batched:
            self._seq = due[-1].seq
            lines = [as_json(event) for event in due if self.event_filter.takes(event)]
            if lines:
                self._write(b"[" + b",".join(lines) + b"]")
            return True
        for event in due:
            if self.writer.has_backlog:
                break
            self._seq = event.seq
            if self.event_filter.takes(event):
                self._write(as_json(event))
        return True

    def _write(self, content: bytes) -> None:
        self.farm.flush_log()
        self.writer.write(frame(content.decode()))

    def connectionLost(self, reason: Failure) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._batch is not None:
            self._batch.cancel()
