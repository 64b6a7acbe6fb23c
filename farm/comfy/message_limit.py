"""How long may a client's websocket message be?

aiohttp ends a connection whose message reaches 4 MiB.  Twisted has no such limit, and gathers a message by adding
text to text, which holds the reactor for minutes where somebody sends a very long one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from twisted.web.websocket import WebSocketTransport

__all__ = ["LONGEST_BYTES", "limit_messages"]

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
