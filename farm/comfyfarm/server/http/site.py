"""HTTP as every port of the farm serves it: the connection and its freezing, and the site."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Site

from comfyfarm.server.http.answer import SERVER
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.http.freeze_queue import FreezeQueue
from comfyfarm.server.http.request_head import (
    MAX_FIELDS,
    MAX_LINE_BYTES,
    NO_LINE_FEED,
    NO_TLS,
    TLS_START,
    RequestHead,
)
from comfyfarm.server.http.whole_request import RequestLine, WholeRequest, read_whole

_MAX_BODY_BYTES = 100 * 1024 * 1024
_KEEP_ALIVE_S = 3630    # of aiohttp
_SEND_LIMIT_BYTES = 4 * 1024 * 1024     # offered to the system at once; by Twisted's own limit it is 128 KiB


class _Channel(HTTPChannel):
    """A connection that is registered with its site, and defers what it receives while the process is frozen.

    :ivar received_ms: when the data in hand was received, if a freeze has deferred it; else ``None``.
    :ivar is_deserted: whether the client disconnected while the process was frozen.
    """

    totalHeadersSize = 2 * MAX_FIELDS * MAX_LINE_BYTES      # Twisted's own limits are narrower than aiohttp's
    site: FarmSite
    _host: IAddress
    _peer: IAddress
    received_ms: int | None = None
    is_deserted = False
    _can_write_now = False

    def __init__(self) -> None:
        super().__init__()
        self._head = RequestHead()

    def connectionMade(self) -> None:
        self.site.channels[self] = None
        transport: Any = self.transport
        # Kept, because a deferred request may be handled after its client has disconnected.
        self._host, self._peer = transport.getHost(), transport.getPeer()
        self._can_write_now = isinstance(transport, Connection)
        if self._can_write_now:
            transport.SEND_LIMIT = _SEND_LIMIT_BYTES
        super().connectionMade()

    def getHost(self) -> IAddress:
        return self._host

    def getPeer(self) -> IAddress:
        return self._peer

    def dataReceived(self, data: bytes) -> None:
        self.site.on_traffic()
        if self.site.freezer.is_frozen:
            self.site.freezer.run_or_defer(partial(self._receive_late, data, self.site.now_ms()))
        # at once, even if other data is still deferred: a channel passes pipelined requests to itself
        elif not self._serve_directly(data):
            self._parse(data)

    def _receive_late(self, data: bytes, received_ms: int) -> None:
        self.received_ms = received_ms
        try:
            if not self._serve_directly(data):
                self._parse(data)
        finally:
            self.received_ms = None

    def _parse(self, data: bytes) -> None:
        if self.line_mode and not self._head.is_begun and (self._buffer + data).startswith(TLS_START):
            self._refuse(NO_TLS)
            return
        super().dataReceived(data)
        if self.line_mode and not self.paused and b"\n" in self._buffer:
            self._refuse(NO_LINE_FEED)      # else this would wait for a carriage return for ever

    def _serve_directly(self, data: bytes) -> bool:
        """Serve an ordinary request, and return whether that was done."""
        serve = self.site.serve_directly
        is_between_requests = not (self.requests or self._buffer or self._head.is_begun or self.paused)
        if serve is None or not is_between_requests or not self.persistent:
            return False
        whole = read_whole(data)
        if whole is None:
            return False
        self.resetTimeout()
        return serve(self, whole)

    def hand_over(self, line: RequestLine) -> None:
        """Let Twisted process the latest of the requests, as if it had parsed it."""
        self._command, self._path, self._version = line.method, line.target, b"HTTP/1.1"
        self.allContentReceived()

    def write_now(self, *pieces: bytes) -> None:
        """Write to the client, at once as far as the system takes it; a transport does so in the next turn only."""
        transport: Any = self.transport
        sent = 0
        if self._can_write_now and not transport.dataBuffer and not transport._tempDataLen:  # noqa: SLF001
            try:
                sent = transport.socket.sendmsg(pieces)
            except OSError:     # the system takes nothing, or the connection is lost: the transport will see it
                sent = 0
        if sent < sum(map(len, pieces)):
            transport.write(b"".join(pieces)[sent:])

    def lineReceived(self, line: bytes) -> None:
        if not line and not self._head.is_begun:
            return      # empty lines between requests
        problem = self._head.problem(line)
        if problem is not None:
            self._refuse(problem)
            return
        if not line:
            self._head = RequestHead()
        super().lineReceived(line)

    def requestDone(self, request: http.Request) -> None:
        """Go on with the next request, unless the client has still to read what it got.

        Twisted reads no more from such a client, but answers all requests that it has read already.
        """
        if self._waitingForTransport:
            self._networkProducer.pauseProducing()
            self.paused = True      # LineReceiver then keeps what follows
        super().requestDone(request)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self.paused:
            self.paused = False
            self.dataReceived(b"")

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:
        """Return whether the connection stays open, and set the header that says so.

        Twisted's own method closes each connection of HTTP/1.0, and overlooks ``close, TE``.
        """
        values = b",".join(request.requestHeaders.getRawHeaders(b"connection", []))
        wishes = [wish.strip().lower() for wish in values.split(b",")]
        is_newer = version == b"HTTP/1.1"
        stays_open = b"close" not in wishes and (is_newer or b"keep-alive" in wishes)
        if stays_open != is_newer:
            request.responseHeaders.setRawHeaders(b"connection", [b"keep-alive" if stays_open else b"close"])
        return stays_open

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse(self._head.problem(line) or "Bad Request")

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse("Bad Request")

    def _refuse(self, text: str) -> None:
        """Answer as aiohttp does to what it cannot parse, and close the connection."""
        self.dataReceived = _ignore   # type: ignore[method-assign, assignment]
        self._buffer = b""
        body = text.encode()
        lines = (
            b"HTTP/1.0 400 Bad Request",
            b"Content-Type: text/plain; charset=utf-8",
            b"Content-Length: %d" % len(body),
            b"Date: " + http.datetimeToString(),
            b"Server: " + SERVER,
        )
        self.write(b"\r\n".join((*lines, b"", body)))
        self.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Unregister the connection.  (For a websocket Twisted calls its own protocol instead.)"""
        self.is_deserted = self.site.freezer.is_frozen
        self.site.channels.pop(self, None)
        self.site.freezer.run_or_defer(partial(super().connectionLost, reason))

    def _protocolUpgradeForWebsockets(self, protocol: IProtocol) -> None:
        """Defer the data and the end of a websocket, too, while the process is frozen."""
        super()._protocolUpgradeForWebsockets(protocol)
        freezer = self.site.freezer
        receive, lose = protocol.dataReceived, protocol.connectionLost
        self.dataReceived = lambda data: freezer.run_or_defer(partial(receive, data))     # type: ignore[method-assign]
        self.connectionLost = lambda reason=connectionDone: freezer.run_or_defer(      # type: ignore[method-assign]
            partial(lose, reason)
        )

    def hang_up(self) -> None:
        """Reset the connection, and end everything on this side of it before this returns.

        The client gets what was sent before, as far as the system accepts it at once.
        """
        lose = self.connectionLost
        # Twisted will report the loss once more in the reactor's next turn.
        self.dataReceived = self.connectionLost = _ignore   # type: ignore[method-assign, assignment]
        transport: Any = self.transport
        if hasattr(transport, "doWrite"):   # send what is buffered; a transport in memory has sent it already
            transport.doWrite()
        transport.abortConnection()
        lose(Failure(ConnectionAborted()))


def _ignore(_: object = None) -> None:
    """Ignore data or a loss that is reported after a hang-up."""


class FarmSite(Site):
    """A site that can reset all its connections, without an access log (the event log has every exchange).

    :ivar serve_directly: serves a request of a channel, if it can; ``None`` if all take the long way.
    :ivar channels: the open connections, websockets included, in the order in which they were made.
    """

    protocol = _Channel  # type: ignore[assignment]  # Twisted's own adds HTTP/2, which ComfyUI does not speak

    def __init__(
        self,
        resource: Resource,
        reactor: Any,
        max_body_bytes: int = _MAX_BODY_BYTES,
        on_traffic: Callable[[], None] = lambda: None,
        freezer: FreezeQueue | None = None,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        """Serve a resource.

        :param reactor: the real one, also in simulated time: keep-alive connections time out in real time.
        :param on_traffic: called whenever a client has sent something.
        :param freezer: of the process that serves here; ``None`` if it never freezes.
        :param now_ms: returns the simulated time; used only while the process is frozen.
        """
        super().__init__(
            resource,
            requestFactory=ComfyRequest,
            reactor=reactor,
            timeout=_KEEP_ALIVE_S,
            parsePOSTFormSubmission=False,
        )
        self.noisy = False
        self.max_body_bytes = max_body_bytes
        self.on_traffic = on_traffic
        self.freezer = freezer or FreezeQueue()
        self.now_ms = now_ms
        self.serve_directly: Callable[[Any, WholeRequest], bool] | None = None
        self.channels: WeakKeyDictionary[_Channel, None] = WeakKeyDictionary()

    def startFactory(self) -> None:
        """Start no timer: Twisted's own would format the time for the access log every second."""

    def log(self, request: http.Request) -> None:
        """Write no access log."""

    def hang_up(self) -> bool:
        """Reset every connection; return whether there was one (the reactor then needs a turn to close it)."""
        open_channels = [channel for channel in self.channels if _is_open(channel)]
        for channel in open_channels:
            channel.hang_up()
        return bool(open_channels)


def _is_open(channel: HTTPChannel) -> bool:
    return channel.transport is not None and not getattr(channel.transport, "disconnected", False)
