"""The bytes of a websocket: framing, and what a slow reader costs.

The only module that knows the TCP transport under Twisted's websocket.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IPushProducer
from twisted.web.websocket import WebSocketTransport
from wsproto.frame_protocol import FrameProtocol
from zope.interface import implementer

MOST_OWED_BYTES = 16 * 1024 * 1024


def frame(message: str | bytes) -> bytes:
    """A whole message as one frame of a server: the same bytes for every socket that hears it."""
    return bytes(FrameProtocol(client=False, extensions=[]).send_data(message, fin=True))


@implementer(IPushProducer)
@dataclass(eq=False)
class SocketWriter:
    """One websocket's way out.

    A client that stops reading is owed what it does not take.  The first 64 KiB are Twisted's business; beyond
    that we count, and hang up when it owes us too much patience.

    :ivar owed_bytes: written since the client stopped reading, or what of it is not yet sent.
    :ivar is_cut: we have closed or reset the connection.
    """

    _transport: WebSocketTransport = field(repr=False)
    owed_bytes: int = 0
    too_slow: bool = False
    is_cut: bool = False
    _paused: bool = False

    def __post_init__(self) -> None:
        """Take the HTTP channel's place as the one who is told to pause."""
        self._tcp.unregisterProducer()
        self._tcp.registerProducer(self, True)

    @property
    def _tcp(self) -> Any:
        """The TCP transport under the websocket."""
        transport: Any = self._transport
        return transport.transport

    @property
    def is_owing(self) -> bool:
        """Whether there is more on the way to the client than Twisted likes to hold."""
        return self._paused and not self.too_slow

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.is_cut or self.too_slow or bool(self._tcp.disconnecting)

    def write(self, framed: bytes) -> bool:
        """Send a frame, or say ``False`` where nothing can be sent; hang up on a client that owes too much."""
        if self.is_over:
            return False
        self._tcp.write(framed)
        if self._paused:
            self.owed_bytes += len(framed)
            if self.owed_bytes > MOST_OWED_BYTES:
                self.owed_bytes = self._unsent_bytes()
            if self.owed_bytes > MOST_OWED_BYTES:
                self.too_slow = True
                self._tcp.abortConnection()
        return True

    def close(self, code: int, reason: str) -> None:
        """Say goodbye in a close frame, and close the connection when all is sent."""
        if not self.is_over:
            self.is_cut = True
            transport: Any = self._transport    # Twisted's own takes a reason, too
            transport.loseConnection(code, reason)

    def reset(self) -> None:
        """Reset the connection (RST); the client gets what was said before, as far as the system takes it at once."""
        if not self.is_over:
            self.is_cut = True
            if hasattr(self._tcp, "doWrite"):   # one in memory has sent it
                self._tcp.doWrite()
            self._tcp.abortConnection()

    def _unsent_bytes(self) -> int:
        """What really waits: one who reads, but never all of it, has taken some of what was counted."""
        tcp = self._tcp
        return int(len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen)  # noqa: SLF001 (it has no other name)

    def pauseProducing(self) -> None:
        """Twisted holds 64 KiB that the client does not take."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client has taken everything."""
        self._paused, self.owed_bytes = False, 0

    def stopProducing(self) -> None:
        """The connection is gone; ``connectionLost`` says so too."""


LONGEST_BYTES = 4 * 1024 * 1024
_TOO_BIG = 1009

Piece = TypeVar("Piece", str, bytes)


def limit_messages(transport: WebSocketTransport) -> None:
    """From now on, close this websocket as soon as a message is too long."""
    wire: Any = transport
    limit = _Limit(transport)
    wire._textBuffer = _Buffer(limit, "")       # noqa: SLF001 (Twisted's own have no limit to set)
    wire._bytesBuffer = _Buffer(limit, b"")     # noqa: SLF001


@dataclass(eq=False)
class _Limit:
    """Hangs up, once."""

    transport: WebSocketTransport
    is_passed: bool = False

    def passed(self) -> None:
        """End the connection; what has come in already is still read, and dropped."""
        self.is_passed = True
        self.transport.loseConnection(_TOO_BIG)


@dataclass(eq=False)
class _Buffer(Generic[Piece]):
    """Gathers one message at a time, in place of Twisted's own buffer."""

    limit: _Limit
    nothing: Piece
    held_bytes: int = 0
    pieces: list[Piece] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        """Take a piece of the message, or hang up."""
        if self.limit.is_passed:
            return
        self.pieces.append(piece)
        self.held_bytes += len(piece.encode() if isinstance(piece, str) else piece)
        if self.held_bytes >= LONGEST_BYTES:
            self.pieces.clear()
            self.limit.passed()

    def done(self) -> Piece:
        """The whole message; of one that was too long nothing is left, which says nothing to the listener."""
        whole = self.nothing.join(self.pieces)
        self.pieces, self.held_bytes = [], 0
        return whole
