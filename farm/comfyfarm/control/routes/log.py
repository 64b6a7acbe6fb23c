"""Routes of the event log: a list and a stream."""

from __future__ import annotations

from collections.abc import Callable
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
from comfyfarm.server.websocket.connection import ServerProtocol, frame


@route(endpoints.GET_LOG)
def get_log(farm: Farm, query: LogQuery) -> Raw:
    """Return the events of the log, as lines of JSON, oldest first.

    The latest 100,000 are kept; ``[farm] log`` writes all of them to a file.  Without any filter the lines are those
    of the file (docs/log-lines.md); with one, even ``since=0``, each event is a line that has all its fields.
    """
    if query == LogQuery():
        return Raw(LineWriter().lines(tuple(farm.log.events)), LINES)
    event_filter = _filter(farm, query)
    try:
        kept = farm.log.events if query.trial is None else farm.analysis.journal(query.trial)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error
    events = islice((event for event in kept if event_filter.takes(event)), query.limit)
    return Raw(b"".join(as_json(event) + b"\n" for event in events), LINES)


@route(endpoints.STREAM_LOG)
def get_stream(farm: Farm, query: LogFilter) -> WebSocketResource:
    """Open a websocket that sends each event as it happens, one message of JSON each.

    With ``since``, the events that the log has kept come first.
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
    farm: Farm
    event_filter: EventFilter
    with_kept: bool
    _unsubscribe: Callable[[], None] | None = None

    def negotiationFinished(self) -> None:
        """Send the events that are kept, if requested, and subscribe."""
        super().negotiationFinished()
        for event in tuple(self.farm.log.events) if self.with_kept else ():
            self._on_event(event)
        self._unsubscribe = self.farm.log.listen(self._on_event)

    def _on_event(self, event: Event) -> None:
        if self.event_filter.takes(event):
            self.farm.flush_log()
            self.writer.write(frame(as_json(event).decode()))

    def connectionLost(self, reason: Failure) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
