"""One HTTP exchange, as faults see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .moments import Facts

__all__ = ["Ending", "Exchange", "Headers", "Reply"]

Headers = tuple[tuple[str, str], ...]
"""Names and values."""

Ending = Literal["keep", "close", "reset"]
"""What becomes of the connection: kept for the next request, closed, or reset (RST)."""


@dataclass(frozen=True)
class Reply:
    """An answer.

    :ivar headers: all of them but ``Content-Length`` and ``Connection``.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


@dataclass(eq=False)
class Exchange:
    """An exchange that a fault struck; an effect changes what it does not leave to be as it should.

    :ivar at_ms: the simulated moment; kept true by whoever runs the story.
    :ivar query: as it stands behind the ``?``.
    :ivar usual: the headers that this server puts into every answer.
    :ivar reply: what is answered.  ``None`` before the work: it will be done, unless an effect answers instead.
    :ivar raw: what is sent in place of any HTTP answer; ``b""`` for not a byte.
    :ivar declared_bytes: the ``Content-Length`` that is sent, where that is not the body's.
    :ivar body_bytes: how much of the body is sent; ``None`` for all.
    :ivar piece_bytes: how much of it goes out at once; ``None`` for all.
    :ivar gap_ms: how long to wait before each further piece.
    :ivar ending: what becomes of the connection; what has not gone out yet when it is reset is lost.
    """

    facts: Facts
    at_ms: int
    query: str = ""
    usual: Headers = ()
    reply: Reply | None = None
    raw: bytes | None = None
    declared_bytes: int | None = None
    body_bytes: int | None = None
    piece_bytes: int | None = None
    gap_ms: int = 0
    ending: Ending = "keep"

    @property
    def is_decided(self) -> bool:
        """Nothing of ComfyUI's own is needed any more: the work is not done where it has not been."""
        return self.reply is not None or self.raw is not None
