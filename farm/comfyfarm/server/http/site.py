"""How every port of the farm speaks HTTP: one kind of request, one kind of site, one way to listen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from comfyfarm.server.freezer import FreezeQueue
from comfyfarm.server.http.exchange_record import ExchangeRecord

_MOST_BYTES = 100 * 1024 * 1024


class ComfyRequest(Request):
    """A request whose body may be too large, which is then read and dropped.

    :ivar too_large: whether it had more bytes than its site takes.
    :ivar about: what the log will say of it.
    :ivar line: the connection that it came by, also when it is over.
    :ivar on_lost: called when the connection is gone before the answer is out; ``None`` where nobody asks.
    """

    channel: _Channel

    defaultContentType = None   # ComfyUI sends none with a reply that is a status only
    too_large = False
    on_lost: Callable[[], None] | None = None

    def __init__(self, channel: _Channel, *args: Any, **kwargs: Any) -> None:
        """Know nothing yet."""
        super().__init__(channel, *args, **kwargs)
        self.about, self.line = ExchangeRecord(), channel

    def gotLength(self, length: int | None) -> None:
        """Learn how long the body will be; ``None``: it comes in chunks."""
        self.too_large = length is not None and length > self.channel.site.most_bytes
        super().gotLength(0 if self.too_large else length)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, while there is room."""
        assert self.content is not None, "gotLength made it"
        if not self.too_large and self.content.tell() + len(data) > self.channel.site.most_bytes:
            self.too_large = True
            self.content.truncate(0)
        if not self.too_large:
            super().handleContentChunk(data)

    def connectionLost(self, reason: Failure) -> None:
        """Be of no use any more."""
        super().connectionLost(reason)
        if self.on_lost is not None:
            self.on_lost()


class _Channel(HTTPChannel):
    """A connection that its site knows of.

    :ivar came_ms: when that came which is heard just now, where a freeze has kept it waiting; else ``None``.
    :ivar is_deserted: its client has hung up while nobody heard it.
    """

    site: FarmSite
    _host: IAddress
    _peer: IAddress
    came_ms: int | None = None
    is_deserted = False

    def connectionMade(self) -> None:
        """Be known."""
        self.site.channels[self] = None
        transport: Any = self.transport
        self._host, self._peer = transport.getHost(), transport.getPeer()
        super().connectionMade()

    def getHost(self) -> IAddress:
        """Where it came in: known also when its client has hung up before a frozen process hears what it said."""
        return self._host

    def getPeer(self) -> IAddress:
        """Where it came from: known as long."""
        return self._peer

    def dataReceived(self, data: bytes) -> None:
        """Say that the line is not quiet."""
        self.site.heard()
        if self.site.freezer.is_frozen:
            self.site.freezer.run_or_defer(partial(self._hear_late, data, self.site.now_ms()))
        else:       # at once, also while others still wait: a channel hands pipelined requests to itself
            super().dataReceived(data)

    def _hear_late(self, data: bytes, came_ms: int) -> None:
        self.came_ms = came_ms
        try:
            super().dataReceived(data)
        finally:
            self.came_ms = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Be forgotten.  (A websocket has its own end; its channel goes with it.)"""
        self.is_deserted = self.site.freezer.is_frozen
        self.site.channels.pop(self, None)
        self.site.freezer.run_or_defer(partial(super().connectionLost, reason))

    def _protocolUpgradeForWebsockets(self, protocol: IProtocol) -> None:
        """Let a frozen process hear nothing of its websockets either."""
        super()._protocolUpgradeForWebsockets(protocol)
        freezer = self.site.freezer
        on_event, lose = protocol.dataReceived, protocol.connectionLost
        self.dataReceived = lambda data: freezer.run_or_defer(partial(on_event, data))     # type: ignore[method-assign]
        self.connectionLost = lambda reason=connectionDone: freezer.run_or_defer(      # type: ignore[method-assign]
            partial(lose, reason)
        )

    def hang_up(self) -> None:
        """Reset the connection, and let everybody on this side know of it before anything else happens.

        The client gets what was said before, as far as the system takes it at once.
        """
        lose = self.connectionLost
        # Twisted says it once more in the reactor's next turn.
        self.dataReceived = self.connectionLost = _ignore   # type: ignore[method-assign, assignment]
        transport: Any = self.transport
        if hasattr(transport, "doWrite"):   # what was said before the end is heard; one in memory has sent it
            transport.doWrite()
        transport.abortConnection()
        lose(Failure(ConnectionAborted()))


def _ignore(_: object = None) -> None:
    """Say no more."""


class FarmSite(Site):
    """A site without an access log (the farm's event log has every exchange) that can hang up on all its clients.

    :ivar channels: the connections that live, websockets among them, in the order they were made.
    :ivar most_bytes: what is kept of any body.
    :ivar freezer: whether anything is heard at present.
    :ivar now_ms: the simulated moment.
    """

    protocol = _Channel  # type: ignore[assignment]  # Twisted's own wraps HTTP/2 around it, which ComfyUI has not

    def __init__(
        self,
        resource: Resource,
        reactor: Any,
        most_bytes: int = _MOST_BYTES,
        heard: Callable[[], None] = lambda: None,
        freezer: FreezeQueue | None = None,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        """Serve a resource.

        :param reactor: the real one, also in simulated time: keep-alive connections live in real time.
        :param heard: called whenever a client says something.
        :param freezer: of the process that serves here; ``None`` where it never freezes.
        :param now_ms: gives the simulated moment; nobody asks for it where it never freezes.
        """
        super().__init__(resource, requestFactory=ComfyRequest, reactor=reactor, parsePOSTFormSubmission=False)
        self.noisy = False
        self.most_bytes = most_bytes
        self.heard = heard
        self.freezer = freezer or FreezeQueue()
        self.now_ms = now_ms
        self.channels: WeakKeyDictionary[_Channel, None] = WeakKeyDictionary()

    def log(self, request: http.Request) -> None:
        """Write no access log."""

    def hang_up(self) -> bool:
        """Reset every connection, and say whether there was any; the reactor needs a turn to see it done."""
        open_ones = [channel for channel in self.channels if _is_open(channel)]
        for channel in open_ones:
            channel.hang_up()
        return bool(open_ones)


def _is_open(channel: HTTPChannel) -> bool:
    return channel.transport is not None and not getattr(channel.transport, "disconnected", False)
