"""The bytes of one HTTP exchange: an answer kept back whole, and then sent as it should be, or not as it should be.

Beside the site itself the only module of HTTP that knows the connection under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import NO_BODY_CODES, RESPONSES, HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import Exchange, HttpReply

_OF_THE_CONNECTION = (b"connection", b"transfer-encoding", b"content-length")
_LAST_INTERIM = 199


@dataclass(eq=False)
class BufferedChannel:
    """Stands where a request's connection stood, and keeps what is written there.

    :ivar on_done: called when the answer is whole.
    :ivar reply: the answer, once it is whole.
    :ivar length: its ``Content-Length``, which for a HEAD is not the body's.
    """

    request: Request
    on_done: Callable[[], None]
    reply: HttpReply | None = field(default=None, init=False)
    length: bytes | None = field(default=None, init=False)
    factory: None = field(default=None, init=False)     # Twisted looks for whom to tell of the exchange
    _head: tuple[int, tuple[tuple[str, str], ...]] = field(default=(0, ()), init=False)
    _pieces: list[bytes] = field(default_factory=list, init=False)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Keep the head."""
        self.request.chunked = 0        # it will have a length
        lengths = headers.getRawHeaders(b"content-length")
        self.length = lengths[-1] if lengths else None
        self._head = int(code), _as_text(headers)

    def write(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(data)

    def isSecure(self) -> bool:
        """A farm speaks plain HTTP."""
        return False

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Nobody has to wait here: whoever can send more sends more."""
        assert streaming, "nothing of ours waits to be asked for each piece"

    def unregisterProducer(self) -> None:
        """See above."""

    def requestDone(self, request: Request) -> None:
        """The answer is whole."""
        self.reply = HttpReply(*self._head, b"".join(self._pieces))
        self.on_done()


def usual_headers(request: Request) -> tuple[tuple[str, str], ...]:
    """What an answer has before anybody has begun to write it."""
    return _as_text(request.responseHeaders)


def _as_text(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("ascii"), value.decode("utf-8", "surrogateescape"))
        for name, values in headers.getAllRawHeaders()
        for value in values
        if name.lower() not in _OF_THE_CONNECTION
    )


@dataclass(eq=False)
class ResponseWriter:
    """One exchange's way out.

    :ivar capture: what the work wrote, where it was done.
    :ivar status: what has gone out as the status; 0 while nothing has.
    :ivar size_bytes: how much of the body has gone out.
    """

    request: Request
    channel: HTTPChannel
    capture: BufferedChannel | None = None
    status: int = field(default=0, init=False)
    size_bytes: int = field(default=0, init=False)

    def send(self, exchange: Exchange) -> Steps:
        """Send what the exchange has come to, and do with the connection what it says."""
        if exchange.raw is not None:
            self.channel.write(exchange.raw)
        else:
            assert exchange.reply is not None, "there is something to send"
            yield from self._send(exchange, exchange.reply)
        self._end(exchange)

    def _send(self, exchange: Exchange, reply: HttpReply) -> Steps:
        pieces = list(self._pieces(exchange, reply))
        if exchange.ending == "reset":      # what has just been written would be lost
            pieces.pop()
        for index, piece in enumerate(pieces):
            if index:
                yield exchange.gap_ms
            else:
                self._send_head(exchange, reply)
            self.channel.write(piece)
            self.size_bytes += len(piece)

    def _pieces(self, exchange: Exchange, reply: HttpReply) -> Iterator[bytes]:
        """What goes out at once; at least one piece, with which the head goes."""
        body = reply.body if _has_body(self.request, reply) else b""
        body = body if exchange.body_bytes is None else body[: exchange.body_bytes]
        step = exchange.piece_bytes or len(body) or 1
        for start in range(0, max(1, len(body)), step):
            yield body[start : start + step]

    def _send_head(self, exchange: Exchange, reply: HttpReply) -> None:
        headers = Headers()
        for name, value in reply.headers:
            headers.addRawHeader(name.encode("ascii"), value.encode("utf-8", "surrogateescape"))
        if self.request.responseHeaders.hasHeader(b"connection"):   # as the client asked
            headers.setRawHeaders(b"connection", [b"close"])
        length = self._length(exchange, reply)
        if length is not None:
            headers.setRawHeaders(b"content-length", [length])
        reason = RESPONSES.get(reply.status, b"Unknown Status")
        self.channel.writeHeaders(self.request.clientproto, b"%d" % reply.status, reason, headers)
        self.status = reply.status

    def _length(self, exchange: Exchange, reply: HttpReply) -> bytes | None:
        """What is said of the body's length: the truth, unless an effect knows better."""
        if exchange.declared_bytes is not None:
            return b"%d" % exchange.declared_bytes
        capture = self.capture
        is_own = capture is not None and reply is capture.reply
        if capture is not None and is_own and (capture.length is not None or self.request.method == b"HEAD"):
            return capture.length
        return None if _is_bodiless(reply) else b"%d" % len(reply.body)

    def _end(self, exchange: Exchange) -> None:
        if exchange.ending == "reset":
            transport: Any = self.channel.transport
            transport.abortConnection()
        elif exchange.ending == "close":
            self.channel.loseConnection()
        else:
            self.channel.requestDone(self.request)


def _has_body(request: Request, reply: HttpReply) -> bool:
    return request.method != b"HEAD" and not _is_bodiless(reply)


def _is_bodiless(reply: HttpReply) -> bool:
    return reply.status in NO_BODY_CODES or reply.status <= _LAST_INTERIM
