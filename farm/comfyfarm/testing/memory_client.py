"""A client in memory: HTTP and websocket without a socket, and without time passing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.test.iosim import ConnectionCompleter, IOPump
from twisted.web.server import Site
from twisted.web.websocket import WebSocketClientEndpoint, WebSocketTransport
from wsproto.events import CloseConnection, Event

_HERE = IPv4Address("TCP", "127.0.0.1", 80)


@dataclass(frozen=True)
class Reply:
    """An answer.

    :ivar headers: by lower-case name.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(eq=False)
class Listener:
    """A websocket client that writes down what it hears.

    :ivar heard: text messages as objects, binary ones as bytes.
    :ivar lost: why the connection ended (``ConnectionDone``, or ``ConnectionLost`` for a reset), or ``None`` while it
        is open.
    :ivar goodbye: the code and the reason of the server's close frame, or ``None`` where none came.
    """

    heard: list[Any] = field(default_factory=list)
    lost: Failure | None = None
    goodbye: tuple[int, str] | None = None
    transport: WebSocketTransport = field(init=False, repr=False)

    def types(self) -> list[str]:
        """The types of the messages, in order; ``binary`` for the binary ones."""
        return ["binary" if isinstance(message, bytes) else message["type"] for message in self.heard]

    def say(self, message: object) -> None:
        """Send an object as JSON; the server hears it at the farm's next step in time."""
        self.transport.sendTextMessage(json.dumps(message))

    def buildProtocol(self, url: str) -> Listener:
        """Be the protocol of one connection."""
        return self

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """Keep the transport, and have an eye on the frames: Twisted does not pass a goodbye on."""
        self.transport = transport
        frames: Any = transport
        received = frames._wsconn.events    # noqa: SLF001 (see above)
        frames._wsconn.events = lambda: map(self._noted, received())    # noqa: SLF001

    def _noted(self, event: Event) -> Event:
        if isinstance(event, CloseConnection):
            self.goodbye = event.code, event.reason or ""
        return event

    def negotiationFinished(self) -> None:
        """Nothing is said first."""

    def textMessageReceived(self, message: str) -> None:
        """Write it down."""
        self.heard.append(json.loads(message))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """Write it down."""
        self.heard.append(bytes(data))

    def pongReceived(self, payload: bytes) -> None:
        """Nothing waits for it."""

    def connectionLost(self, reason: Failure) -> None:
        """Remember why."""
        self.lost = reason


@dataclass(eq=False)
class Asking:
    """An HTTP exchange that has begun."""

    method: str
    channel: IProtocol
    transport: StringTransport

    def reply(self) -> Reply | None:
        """The answer, or ``None`` while there is none."""
        sent = self.transport.value()
        return _reply(self.method, sent) if sent else None

    def end(self) -> Reply:
        """Hang up, and give the answer."""
        reply = self.reply()
        self.channel.connectionLost(Failure(ConnectionDone()))
        assert reply is not None, "there was no answer"
        return reply


@dataclass(eq=False)
class MemoryWire:
    """What carries bytes between a test and a farm on a memory reactor."""

    reactor: MemoryReactorClock
    _pumps: list[IOPump] = field(default_factory=list)

    def ask(
        self,
        site: Site,
        method: str,
        path: str,
        *,
        json: object = ...,
        data: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Make one HTTP exchange, to its end."""
        asking = self.begin(site, method, path, data if json is ... else _encode(json), headers)
        if asking.reply() is None:
            self.flush()
            self.reactor.advance(0)     # what the farm does in the reactor's next turn
        return asking.end()

    def begin(
        self, site: Site, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Asking:
        """Begin an HTTP exchange that may not be answered at once."""
        channel, transport = site.buildProtocol(_HERE), StringTransport(_HERE, _HERE)
        assert channel is not None, "a site always has room"
        channel.makeConnection(transport)
        channel.dataReceived(_request(method, path, body, headers or {}))
        return Asking(method, channel, transport)

    def listen(self, port: int, client_id: str) -> Listener:
        """Open a websocket of an instance."""
        return self.listen_at(port, f"/ws?clientId={client_id}")

    def listen_at(self, port: int, path: str) -> Listener:
        """Open any websocket."""
        url = f"ws://127.0.0.1:{port}{path}"
        opening = Deferred.fromCoroutine(WebSocketClientEndpoint.new(self.reactor, url).connect(Listener()))
        pump = ConnectionCompleter(self.reactor).succeedOnce()
        assert pump is not None, "nobody connected"
        self._pumps.append(pump)
        _show_resets(pump)
        self.flush()
        opened: list[Any] = []
        opening.addBoth(opened.append)
        assert opened, "the handshake needs no time"
        if isinstance(opened[0], Failure):
            opened[0].raiseException()
        return cast(Listener, opened[0])

    def flush(self) -> None:
        """Let everything arrive that was sent."""
        for pump in self._pumps:
            pump.flush()

    def close(self) -> None:
        """Hang up on the farm, as clients do that end."""
        for pump in self._pumps:
            pump.clientIO.loseConnection()
        self.flush()
        self._pumps.clear()


def _show_resets(pump: IOPump) -> None:
    """Let a client know when the farm aborts: in memory that is a close like any other."""
    close = pump.serverIO.abortConnection

    def abort() -> None:
        pump.clientIO.disconnectReason = ConnectionLost()
        close()

    pump.serverIO.abortConnection = abort


def _encode(body: object) -> bytes:
    return json.dumps(body).encode()


def _request(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    given = {"Host": "127.0.0.1:80", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Sent:
    """What a server sent, in the shape that ``http.client`` reads from."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def makefile(self, _mode: str) -> BytesIO:
        """Give it as a file."""
        return BytesIO(self.content)


def _reply(method: str, sent: bytes) -> Reply:
    response = HTTPResponse(cast(Any, _Sent(sent)), method=method)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())
