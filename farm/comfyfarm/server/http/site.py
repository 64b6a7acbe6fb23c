"""HTTP as every port of the farm serves it: the request, the connection and its freezing, and the site."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from comfyfarm.events.clients import Damage
from comfyfarm.faults.targets import HttpReply
from comfyfarm.server.http.answer import SERVER
from comfyfarm.server.http.body_decoder import BodyDecoder
from comfyfarm.server.http.request_head import (
    MAX_FIELDS,
    MAX_LINE_BYTES,
    NO_LINE_FEED,
    NO_TLS,
    TLS_START,
    RequestHead,
    origin_form,
)
from comfyfarm.versions import DEFAULT_BEHAVIOUR

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged
_MAX_BODY_BYTES = 100 * 1024 * 1024
_KEEP_ALIVE_S = 3630    # of aiohttp


@dataclass(eq=False)
class ExchangeRecord:
    """Facts about one exchange for its :class:`~comfyfarm.events.Exchanged`, which describes the fields."""

    began_ms: int = 0
    prompt_id: str | None = None
    job: str = ""
    client_id: str | None = None
    retry_after_ms: int | None = None
    shown: int | None = None
    damage: Damage = ""
    first_byte: int = 0

    def update_from(self, reply: HttpReply) -> None:
        """Read from the answer what it shows to the client, because a fault may have changed it."""
        waits = [value for name, value in reply.headers if name.lower() == "retry-after" and value.isdecimal()]
        self.retry_after_ms = int(waits[0]) * 1000 if waits else None
        if self.shown is not None:
            self.shown = _queue_remaining(reply.body)


def _queue_remaining(body: bytes) -> int | None:
    """Return the ``queue_remaining`` that an answer of ``/queue`` or ``/prompt`` shows; ``None`` if it shows none."""
    try:
        content = json.loads(body)
        if "exec_info" in content:
            return int(content["exec_info"]["queue_remaining"])
        lists: Iterable[list[Any]] = (content["queue_running"], content["queue_pending"])
        return sum(map(len, lists))
    except (ValueError, TypeError, LookupError):
        return None


@dataclass(eq=False)
class FreezeQueue:
    """The state of freezing of one process, and the calls that wait until it thaws."""

    is_frozen: bool = False
    _waiting: deque[Callable[[], None]] = field(default_factory=deque)

    def run_or_defer(self, act: Callable[[], None]) -> None:
        """Call a function now, or, if the process is frozen, after all that wait already."""
        if self.is_frozen or self._waiting:
            self._waiting.append(act)
        else:
            act()

    def release(self) -> None:
        """Call all functions that wait, in order; if one of them freezes the process again, the rest wait on."""
        self.is_frozen = False
        while self._waiting and not self.is_frozen:
            act = self._waiting.popleft()
            try:
                act()
            except Exception:  # noqa: BLE001 (whatever it is)
                _logger.failure("what waited for a thaw failed")    # the rest must not wait for ever

    def forget(self) -> None:
        """Drop all functions that wait: the process has ended."""
        self.is_frozen = False
        self._waiting.clear()


class ComfyRequest(Request):
    """A request that decodes its body, drops one that is too large, and keeps a record for the event log.

    :ivar behaviour: that of the instance's version.
    :ivar too_large: whether the body, decoded, had more bytes than the site accepts.
    :ivar connection: the channel of the request, also after the request has ended.
    :ivar on_lost: called if the connection is lost before the answer is complete.
    """

    channel: _Channel

    defaultContentType = None   # ComfyUI sends none with an answer that is a status only
    behaviour = DEFAULT_BEHAVIOUR
    too_large = False
    _decoder: BodyDecoder | None = None
    on_lost: Callable[[], None] | None = None

    def __init__(self, channel: _Channel, *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self.record, self.connection = ExchangeRecord(), channel

    def gotLength(self, length: int | None) -> None:
        """Take the length of the body; ``None`` if it comes in chunks."""
        encoding = self.requestHeaders.getRawHeaders(b"content-encoding", [b""])[-1].decode("latin-1").lower()
        if encoding in ("gzip", "deflate"):
            self._decoder = BodyDecoder(encoding)
        self.too_large = length is not None and length > self.channel.site.max_body_bytes
        super().gotLength(0 if self.too_large else length)

    def handleContentChunk(self, data: bytes) -> None:
        assert self.content is not None, "gotLength made it"
        for piece in (data,) if self._decoder is None else self._decoder.decode(data):
            if not self.too_large and self.content.tell() + len(piece) > self.channel.site.max_body_bytes:
                self.too_large = True
                self.content.truncate(0)
            if self.too_large:
                return
            super().handleContentChunk(piece)

    @property
    def is_undecodable(self) -> bool:
        """True if the body is not in the encoding that the request declares."""
        return self._decoder is not None and self._decoder.is_broken

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        super().requestReceived(command, origin_form(path), version)

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        if self.on_lost is not None:
            self.on_lost()


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

    def __init__(self) -> None:
        super().__init__()
        self._head = RequestHead()

    def connectionMade(self) -> None:
        self.site.channels[self] = None
        transport: Any = self.transport
        # Kept, because a deferred request may be handled after its client has disconnected.
        self._host, self._peer = transport.getHost(), transport.getPeer()
        super().connectionMade()

    def getHost(self) -> IAddress:
        return self._host

    def getPeer(self) -> IAddress:
        return self._peer

    def dataReceived(self, data: bytes) -> None:
        self.site.on_traffic()
        if self.site.freezer.is_frozen:
            self.site.freezer.run_or_defer(partial(self._receive_late, data, self.site.now_ms()))
        else:       # at once, even if other data is still deferred: a channel passes pipelined requests to itself
            self._receive(data)

    def _receive_late(self, data: bytes, received_ms: int) -> None:
        self.received_ms = received_ms
        try:
            self._receive(data)
        finally:
            self.received_ms = None

    def _receive(self, data: bytes) -> None:
        if self.line_mode and not self._head.is_begun and (self._buffer + data).startswith(TLS_START):
            self._refuse(NO_TLS)
            return
        super().dataReceived(data)
        if self.line_mode and b"\n" in self._buffer:
            self._refuse(NO_LINE_FEED)      # else this would wait for a carriage return for ever

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
