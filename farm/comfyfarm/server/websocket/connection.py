"""The bytes of a websocket: framing, backpressure, and a limit to the length of messages.

Only this module knows the TCP transport under Twisted's websocket.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.websocket import WebSocketTransport
from zope.interface import implementer

MAX_BACKLOG_BYTES = 16 * 1024 * 1024

_WHOLE_TEXT, _WHOLE_BINARY = 0x81, 0x82     # the first byte of a message that is one frame
_TWO_BYTE_LENGTH, _EIGHT_BYTE_LENGTH = 126, 127


def frame(message: str | bytes) -> bytes:
    """Encode a whole message as one frame of a server; the bytes are the same for every socket."""
    payload, first = (message.encode(), _WHOLE_TEXT) if isinstance(message, str) else (message, _WHOLE_BINARY)
    length = len(payload)
    if length < _TWO_BYTE_LENGTH:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return struct.pack(">BBH", first, _TWO_BYTE_LENGTH, length) + payload
    return struct.pack(">BBQ", first, _EIGHT_BYTE_LENGTH, length) + payload


@implementer(IPushProducer)
@dataclass(eq=False)
class SocketWriter:
    """Writes to one websocket, and hangs up on a client that does not read.

    Twisted buffers 64 KiB and then pauses its producer.  From then on the bytes are counted here, and beyond
    ``MAX_BACKLOG_BYTES`` the connection is aborted.

    :ivar backlog_bytes: the bytes written since the client stopped reading, or those of them that are not sent yet.
    :ivar too_slow: the connection was aborted because of its backlog.
    :ivar is_over: nothing can be sent any more: the connection is being closed, or was reset.
    :ivar on_drained: called when the client has taken everything after a backlog.
    :ivar queued: the frames that the next :meth:`flush` or :meth:`write` sends first.
    """

    _transport: WebSocketTransport = field(repr=False)
    backlog_bytes: int = 0
    too_slow: bool = False
    is_over: bool = False
    on_drained: Callable[[], None] = field(default=lambda: None, repr=False)
    queued: list[bytes] = field(default_factory=list, repr=False)
    _paused: bool = False

    def __post_init__(self) -> None:
        wire: Any = self._transport
        self._tcp: Any = wire.transport
        self._system_socket = self._tcp.getHandle() if hasattr(self._tcp, "getHandle") else None     # none in memory
        wire.transport = _Replies(self)
        # Until now the HTTP channel is the producer that Twisted pauses.
        self._tcp.unregisterProducer()
        self._tcp.registerProducer(self, True)

    @property
    def has_backlog(self) -> bool:
        """True if the client has to read before the rest can be sent."""
        return self._paused and not self.too_slow

    def write(self, framed: bytes) -> bool:
        """Send a frame; return False if nothing can be sent any more."""
        if self.is_over:
            return False
        self.flush()
        was_paused = self._paused
        self._tcp.write(framed)
        if was_paused:      # a single message may be longer than any backlog
            self.backlog_bytes += len(framed)
            if self.backlog_bytes > MAX_BACKLOG_BYTES:
                # A client that reads, but never all of it, has taken some of what was counted.
                self.backlog_bytes = self._unsent_bytes
            if self.backlog_bytes > MAX_BACKLOG_BYTES:
                self.too_slow = self.is_over = True
                self._tcp.abortConnection()
        return True

    def queue(self, framed: bytes) -> bool:
        """Send a frame with the next :meth:`flush`; return False if nothing can be sent any more."""
        if self.is_over:
            return False
        if self._paused:
            return self.write(framed)
        self.queued.append(framed)
        return True

    def flush(self) -> None:
        """Send the queued frames in one write."""
        if not self.queued:
            return
        joined, sent_bytes, tcp = b"".join(self.queued), 0, self._tcp
        self.queued.clear()
        # What the system takes at once needs no further turn of the reactor, which costs more than the call itself.
        if self._system_socket is not None and not tcp.dataBuffer and not tcp._tempDataLen:  # noqa: SLF001
            try:
                sent_bytes = self._system_socket.send(joined)
            except OSError:     # its buffer is full, or the connection is broken: Twisted handles both
                sent_bytes = 0
        if sent_bytes < len(joined):
            tcp.write(joined[sent_bytes:])

    @property
    def _unsent_bytes(self) -> int:
        """The bytes that Twisted has not handed to the system yet."""
        tcp = self._tcp
        unsent: int = len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen   # noqa: SLF001 (no other name)
        return unsent

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and close the connection when everything is sent."""
        if not self.is_over:
            transport: Any = self._transport    # Twisted's own takes a reason, too
            transport.loseConnection(code, reason)

    def reset(self) -> None:
        """Reset the connection (RST), after sending as much as the system takes at once."""
        if not self.is_over:
            self.flush()
            self.is_over = True
            if hasattr(self._tcp, "doWrite"):   # a transport in memory has sent everything
                self._tcp.doWrite()
            self._tcp.abortConnection()

    def pause_reading(self) -> None:
        """Read no more from the client until it has taken everything."""
        self._tcp.pauseProducing()

    def lose_connection(self) -> None:
        """Close the connection when everything is sent."""
        self.flush()
        self.is_over = True
        self._tcp.loseConnection()

    def pauseProducing(self) -> None:
        """Count from now on: Twisted's buffer is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Count no more: the client has taken everything."""
        self._paused, self.backlog_bytes = False, 0
        self._tcp.resumeProducing()     # reading, if a reply has paused it
        self.on_drained()

    def stopProducing(self) -> None:
        """Do nothing: ``connectionLost`` reports the same."""


@dataclass(eq=False)
class _Replies:
    """The transport of what Twisted's websocket writes by itself: pongs and close frames.

    They take their turn among the frames, and count as these do.  A client that pings but does not read is not read
    either, as aiohttp waits until a pong is sent.
    """

    writer: SocketWriter

    def write(self, framed: bytes) -> None:
        if self.writer.write(framed) and self.writer.has_backlog:
            self.writer.pause_reading()

    def loseConnection(self) -> None:
        self.writer.lose_connection()


class ServerProtocol:
    """The protocol of one websocket of a server, as Twisted calls it; it ignores everything that a client sends."""

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._transport = transport     # a frame that is written now would stand before the 101
        wire: Any = transport
        limit = _Limit(transport)
        wire._textBuffer = _Buffer(limit, "")       # noqa: SLF001 (Twisted's own have no limit to set)
        wire._bytesBuffer = _Buffer(limit, b"")     # noqa: SLF001

    def negotiationFinished(self) -> None:
        self.writer = SocketWriter(self._transport)

    def textMessageReceived(self, message: str) -> None:
        pass

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        pass

    def pongReceived(self, payload: bytes) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        pass


LONGEST_BYTES = 4 * 1024 * 1024
_TOO_BIG = 1009

Piece = TypeVar("Piece", str, bytes)


@dataclass(eq=False)
class _Limit:
    """Closes a websocket if its client sends a message of ``LONGEST_BYTES``."""

    transport: WebSocketTransport
    is_exceeded: bool = False

    def exceeded(self) -> None:
        """Close the connection; what has come in already is still read, and dropped."""
        self.is_exceeded = True
        self.transport.loseConnection(_TOO_BIG)


@dataclass(eq=False)
class _Buffer(Generic[Piece]):
    """Collects one message at a time, in place of Twisted's own buffer."""

    limit: _Limit
    empty: Piece
    size_bytes: int = 0
    pieces: list[Piece] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        if self.limit.is_exceeded:
            return
        self.pieces.append(piece)
        self.size_bytes += len(piece.encode() if isinstance(piece, str) else piece)
        if self.size_bytes >= LONGEST_BYTES:
            self.pieces.clear()
            self.limit.exceeded()

    def done(self) -> Piece:
        """Return the whole message; empty if it was too long, which every handler ignores."""
        message = self.empty.join(self.pieces)
        self.pieces, self.size_bytes = [], 0
        return message
