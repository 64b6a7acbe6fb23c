"""The farm's event log, as it is and as it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.websocket import WebSocketResource, WebSocketTransport

from comfyfarm.control.routing import ApiError, Raw, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import LINES
from comfyfarm.control.schema.farm import LogFilter, LogQuery
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_line
from comfyfarm.events.filters import EventFilter, all_kinds
from comfyfarm.events.log import Log
from comfyfarm.server.farm import Farm
from comfyfarm.server.websocket.connection import SocketWriter, frame, limit_messages


@route(endpoints.GET_LOG)
def get_log(farm: Farm, query: LogQuery) -> Raw:
    """Give the events of the log, one line of JSON each, oldest first.

    The latest 100,000 are kept; ``[farm] log`` writes them all into a file.
    """
    wanted = _filter(farm, query)
    found = islice((event for event in farm.log.events if wanted.takes(event)), query.limit)
    return Raw(b"".join(as_line(event) + b"\n" for event in found), LINES)


@route(endpoints.STREAM_LOG)
def get_stream(farm: Farm, query: LogFilter) -> WebSocketResource:
    """Open a websocket that says each event as it happens, one message of JSON each.

    With ``since``, those that the log still has come first.
    """
    return WebSocketResource(_Streams(farm.log, _filter(farm, query), query.since is not None))


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
    """Makes the protocol of one connection."""

    log: Log
    wanted: EventFilter
    with_kept: bool

    def buildProtocol(self, request: IRequest) -> _Stream:
        return _Stream(self.log, self.wanted, self.with_kept)


@dataclass(eq=False)
class _Stream:
    """One listener to the log; one that does not read is cut off, as any websocket of the farm."""

    log: Log
    wanted: EventFilter
    with_kept: bool
    _line: SocketWriter = field(init=False, repr=False)
    _stop: Callable[[], None] | None = None

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        limit_messages(transport)

    def negotiationFinished(self) -> None:
        """Say what is kept, and listen."""
        self._line = SocketWriter(self._transport)
        for event in tuple(self.log.events) if self.with_kept else ():
            self._on_event(event)
        self._stop = self.log.listen(self._on_event)

    def _on_event(self, event: Event) -> None:
        if self.wanted.takes(event):
            self._line.write(frame(as_line(event).decode()))

    def textMessageReceived(self, message: str) -> None:
        """Nothing is asked here."""

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """Nothing is asked here."""

    def pongReceived(self, payload: bytes) -> None:
        """Nothing waits for it."""

    def connectionLost(self, reason: Failure) -> None:
        """Listen no more."""
        if self._stop is not None:
            self._stop()
