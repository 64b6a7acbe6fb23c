"""The bytes of one faulty exchange: the answer is buffered whole, and then sent as effects have changed it.

Only this module and the site know the connection under a request.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import NO_BODY_CODES, RESPONSES, HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from comfyfarm.events.clients import Damage
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import Exchange, HttpReply

_CONNECTION_HEADERS = (b"connection", b"transfer-encoding", b"content-length")
_LAST_INTERIM_STATUS = 199


@dataclass(eq=False)
class BufferedChannel:
    """Replaces the channel of a request, and buffers the answer that is written to it.

    :ivar on_done: called when the answer is complete.
    :ivar reply: the answer; ``None`` until it is complete.
    :ivar length: its ``Content-Length``, which for a HEAD is not the length of the body.
    """

    request: Request
    on_done: Callable[[], None]
    reply: HttpReply | None = field(default=None, init=False)
    length: bytes | None = field(default=None, init=False)
    factory: None = field(default=None, init=False)     # Twisted logs accesses through it
    _head: tuple[int, tuple[tuple[str, str], ...]] = field(default=(0, ()), init=False)
    _pieces: list[bytes] = field(default_factory=list, init=False)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        self.request.chunked = 0        # the answer will be sent with a length
        lengths = headers.getRawHeaders(b"content-length")
        self.length = lengths[-1] if lengths else None
        self._head = int(code), as_text(headers)

    def write(self, data: bytes) -> None:
        self._pieces.append(data)

    def isSecure(self) -> bool:
        return False

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Accept a push producer, and never pause it: the buffer takes everything."""
        assert streaming, "a pull producer would wait to be asked for each piece"

    def unregisterProducer(self) -> None:
        """Do nothing: no producer was kept."""

    def requestDone(self, request: Request) -> None:
        self.reply = HttpReply(*self._head, b"".join(self._pieces))
        self.on_done()


def is_success(status: int) -> bool:
    return 200 <= status <= 299


def as_text(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer, except those of the connection."""
    return tuple(
        (name.decode("ascii"), value.decode("utf-8", "surrogateescape"))
        for name, values in headers.getAllRawHeaders()
        for value in values
        if name.lower() not in _CONNECTION_HEADERS
    )


@dataclass(eq=False)
class ResponseWriter:
    """Sends the answer of one faulty exchange over its real channel.

    :ivar buffered: the channel that the work wrote to; ``None`` if the work was not done.
    :ivar status: the status that was sent; 0 before that.
    :ivar size_bytes: how many bytes of the body have been sent.
    """

    request: Request
    channel: HTTPChannel
    buffered: BufferedChannel | None = None
    status: int = field(default=0, init=False)
    size_bytes: int = field(default=0, init=False)

    def send(self, exchange: Exchange) -> Steps:
        """Send the answer as the exchange describes it, then keep, close or reset the connection."""
        if exchange.raw is not None:
            self.channel.write(exchange.raw)
        else:
            assert exchange.reply is not None, "there is something to send"
            yield from self._send(exchange, exchange.reply)
        self._end(exchange)

    def damage(self, exchange: Exchange) -> Damage:
        """Return what became of the body of an answer of status 2xx; empty for any other."""
        work, reply = self.buffered.reply if self.buffered is not None else None, exchange.reply
        if reply is None or not is_success(self.status):
            return ""
        if work is None or reply.body != work.body or exchange.declared_bytes is not None:
            return "changed"
        return "cut" if self.request.method != b"HEAD" and self.size_bytes < len(reply.body) else ""

    def _send(self, exchange: Exchange, reply: HttpReply) -> Steps:
        body, step = self._body_and_step(exchange, reply)
        starts = range(0, max(1, len(body)), step)      # at least one piece, because the head is sent with the first
        if exchange.ending == "reset":      # a reset discards what was written just before it
            starts = starts[:-1]
        for start in starts:
            if start:
                yield exchange.gap_ms
            else:
                self._send_head(exchange, reply)
            piece = body[start : start + step]
            self.channel.write(piece)
            self.size_bytes += len(piece)

    def _body_and_step(self, exchange: Exchange, reply: HttpReply) -> tuple[bytes, int]:
        """Return the body that is sent, and the size of its pieces; without a gap it is one piece on the wire."""
        has_body = self.request.method != b"HEAD" and not _is_bodiless(reply)
        body = reply.body if has_body else b""
        body = body if exchange.body_bytes is None else body[: exchange.body_bytes]
        whole = len(body) or 1
        return body, (exchange.piece_bytes or whole) if exchange.gap_ms else whole

    def _send_head(self, exchange: Exchange, reply: HttpReply) -> None:
        headers = Headers()
        for name, value in reply.headers:
            headers.addRawHeader(name.encode("ascii"), value.encode("utf-8", "surrogateescape"))
        if wishes := self.request.responseHeaders.getRawHeaders(b"connection"):
            headers.setRawHeaders(b"connection", wishes)
        length = self._content_length(exchange, reply)
        if length is not None:
            headers.setRawHeaders(b"content-length", [length])
        reason = RESPONSES.get(reply.status, b"Unknown Status")
        self.channel.writeHeaders(self.request.clientproto, b"%d" % reply.status, reason, headers)
        self.status = reply.status

    def _content_length(self, exchange: Exchange, reply: HttpReply) -> bytes | None:
        if exchange.declared_bytes is not None:
            return b"%d" % exchange.declared_bytes
        buffered = self.buffered
        is_unchanged = buffered is not None and reply is buffered.reply
        if buffered is not None and is_unchanged and (buffered.length is not None or self.request.method == b"HEAD"):
            return buffered.length
        return None if _is_bodiless(reply) else b"%d" % len(reply.body)

    def abort(self) -> None:
        """Reset the connection."""
        transport: Any = self.channel.transport
        transport.abortConnection()

    def _end(self, exchange: Exchange) -> None:
        if exchange.ending == "reset":
            self.abort()
        elif exchange.ending == "close":
            self.channel.loseConnection()
        else:
            self.channel.requestDone(self.request)


def _is_bodiless(reply: HttpReply) -> bool:
    return reply.status in NO_BODY_CODES or reply.status <= _LAST_INTERIM_STATUS
