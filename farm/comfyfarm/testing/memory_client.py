"""An HTTP and websocket client in memory: it uses no socket, and no time passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from io import BytesIO
from json import dumps, loads
from types import SimpleNamespace
from typing import Any, TypeVar, cast, overload

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

T = TypeVar("T")

_TEXT, _BINARY = b"\x81", b"\x82"     # the first byte of a message that is one frame
_LONG = (b"\x7e", 2), (b"\x7f", 8)     # what stands for its length, and the bytes of the length that follow

_ADDRESS = IPv4Address("TCP", "127.0.0.1", 80)


@dataclass(frozen=True)
class Reply:
    """The answer to an HTTP request.

    :ivar headers: by lower-case name.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return loads(self.body)


class Heard(Sequence[Any]):
    """The messages that a websocket client has received: text messages as objects, binary ones as bytes.

    They are kept as they came, and parsed when they are asked for: objects take three times the memory.
    """

    def __init__(self) -> None:
        self._messages: list[str | bytes] = []

    def append(self, message: str | bytes) -> None:
        self._messages.append(message)

    def clear(self) -> None:
        self._messages.clear()

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        found = self._messages[index]
        return [_parsed(message) for message in found] if isinstance(found, list) else _parsed(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self[:] == other[:]

    def __repr__(self) -> str:
        return repr(self[:])

    __hash__ = None     # type: ignore[assignment]      # as a list has none


def _parsed(message: str | bytes) -> Any:
    return loads(message) if isinstance(message, str) else message


@dataclass(eq=False)
class Listener:
    """A websocket client that records what it receives; it is also the protocol of its connection.

    :ivar lost: the reason why the connection ended (``ConnectionDone``, or ``ConnectionLost`` for a reset); ``None``
        while it is open.
    :ivar goodbye: the code and the reason of the server's close frame; ``None`` if it sent none.
    """

    heard: Heard = field(default_factory=Heard)
    lost: Failure | None = None
    goodbye: tuple[int, str] | None = None
    transport: WebSocketTransport = field(init=False, repr=False)

    def types(self) -> list[str]:
        """Return the types of the messages in order; ``binary`` for binary ones."""
        return ["binary" if isinstance(message, bytes) else message["type"] for message in self.heard]

    def say(self, message: object) -> None:
        """Send an object as JSON; the server receives it when the farm is advanced, also by 0."""
        self.transport.sendTextMessage(dumps(message))

    def buildProtocol(self, url: str) -> Listener:
        return self

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport
        # Twisted does not pass on the code and reason of a close frame, so they are read from its frame parser.
        parser: Any = transport
        received = parser._wsconn.events    # noqa: SLF001
        parser._wsconn.events = lambda: map(self._record_close, received())    # noqa: SLF001

    def _record_close(self, event: Event) -> Event:
        if isinstance(event, CloseConnection):
            self.goodbye = event.code, event.reason or ""
        return event

    def negotiationFinished(self) -> None:
        pass

    def textMessageReceived(self, message: str) -> None:
        self.heard.append(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self.heard.append(bytes(data))

    def pongReceived(self, payload: bytes) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason


@dataclass(eq=False)
class _MessageReader:
    """The protocol of a listener's connection: reads whole messages itself, and has Twisted's read everything else.

    Twisted's takes ten times as long.
    """

    listener: Listener
    protocol: IProtocol

    def dataReceived(self, data: bytes) -> None:
        rest = data
        while (found := _first_message(rest)) is not None:
            message, rest = found
            if isinstance(message, str):
                self.listener.textMessageReceived(message)
            else:
                self.listener.bytesMessageReceived(message)
        if rest:
            self.protocol.dataReceived(rest)

    def connectionLost(self, reason: Failure) -> None:
        self.protocol.connectionLost(reason)


@dataclass(eq=False)
class Asking:
    """An HTTP exchange that may not be answered yet."""

    method: str
    channel: IProtocol
    transport: StringTransport

    def reply(self) -> Reply | None:
        """Return the answer; ``None`` before there is one."""
        sent = self.transport.value()
        return _reply(self.method, sent) if sent else None

    def end(self) -> Reply:
        """Close the connection, and return the answer."""
        reply = self.reply()
        self.channel.connectionLost(Failure(ConnectionDone()))
        assert reply is not None, "there was no answer"
        return reply


@dataclass(eq=False)
class MemoryWire:
    """The connections between a test and a farm on a memory reactor."""

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
        """Send an HTTP request, and return the answer."""
        exchange = self.begin(site, method, path, data if json is ... else dumps(json).encode(), headers)
        if not exchange.transport.value():
            self.flush()
            self.reactor.advance(0)     # for what the farm does in the reactor's next turn
        return exchange.end()

    def begin(
        self, site: Site, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Asking:
        """Send an HTTP request that may not be answered at once."""
        channel, transport = site.buildProtocol(_ADDRESS), StringTransport(_ADDRESS, _ADDRESS)
        assert channel is not None, "a site always has room"
        channel.makeConnection(transport)
        channel.dataReceived(_request(method, path, body, headers or {}))
        return Asking(method, channel, transport)

    def listen(self, port: int, client_id: str) -> Listener:
        """Open a websocket ``/ws`` of an instance."""
        return self.listen_at(port, f"/ws?clientId={client_id}")

    def listen_at(self, port: int, path: str) -> Listener:
        url = f"ws://127.0.0.1:{port}{path}"
        opening = Deferred.fromCoroutine(WebSocketClientEndpoint.new(self.reactor, url).connect(Listener()))
        pump = ConnectionCompleter(self.reactor).succeedOnce()
        assert pump is not None, "nobody connected"
        self._pumps.append(pump)
        _pass_on_resets(pump)
        self.flush()
        listener = result_of(opening)
        pump.clientIO.protocol = _MessageReader(listener, pump.clientIO.protocol)
        return listener

    def flush(self) -> None:
        """Deliver everything that was sent, and forget the connections that have ended."""
        for pump in self._pumps:
            pump.flush()
        self._pumps = [pump for pump in self._pumps if not (pump.clientIO.disconnected and pump.serverIO.disconnected)]

    def close(self) -> None:
        """Close all websockets from the side of the clients."""
        for pump in self._pumps:
            pump.clientIO.loseConnection()
        self.flush()
        self._pumps.clear()


def _first_message(data: bytes) -> tuple[str | bytes, bytes] | None:
    """Return the message that the data begin with, and the data behind it; None if they begin with anything else."""
    kind, length, start = data[:1], data[1:2], 2
    if kind not in (_TEXT, _BINARY):
        return None
    for mark, size in _LONG:
        if length == mark:
            length, start = data[2 : 2 + size], 2 + size
    end = start + int.from_bytes(length, "big")
    if len(data) < end:
        return None
    payload = data[start:end]
    return payload.decode() if kind == _TEXT else payload, data[end:]


def result_of(deferred: Deferred[T]) -> T:
    """Return the result of a Deferred that has fired, or raise its exception."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "in memory nothing waits"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return cast(T, results[0])


def _pass_on_resets(pump: IOPump) -> None:
    """Let a client see that the farm aborted its connection; IOPump closes it like any other."""
    close = pump.serverIO.abortConnection

    def abort() -> None:
        pump.clientIO.disconnectReason = ConnectionLost()
        close()

    pump.serverIO.abortConnection = abort


def _request(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    fields = {"Host": "127.0.0.1:80", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _reply(method: str, sent: bytes) -> Reply:
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.decode("iso-8859-1").split("\r\n")
    headers = {name.lower(): value.lstrip() for name, _, value in (line.partition(":") for line in lines)}
    if first == "HTTP/1.1 200 OK" and method != "HEAD" and headers.get("content-length") == str(len(body)):
        return Reply(200, headers, body)    # what http.client would make of it, in a tenth of the time
    return _unusual_reply(method, sent)


def _unusual_reply(method: str, sent: bytes) -> Reply:
    """Return an answer that may be in pieces, without a body, or broken.

    :raises HTTPException: if it is broken.
    """
    socket: Any = SimpleNamespace(makefile=lambda _mode: BytesIO(sent))
    response = HTTPResponse(socket, method=method)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())
