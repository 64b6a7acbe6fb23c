"""HTTP and websocket connections in memory: they use no socket, and no time passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.client import HTTPResponse
from io import BytesIO
from json import dumps, loads
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.test.iosim import ConnectionCompleter, IOPump
from twisted.web.server import Site
from twisted.web.websocket import WebSocketClientEndpoint

from comfyfarm.testing.listener import Listener, MessageReader

T = TypeVar("T")

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
        pump.clientIO.protocol = MessageReader(listener, pump.clientIO.protocol)
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
