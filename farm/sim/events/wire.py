"""What goes over the wire: exchanges, sockets, frames."""

from __future__ import annotations

from .base import Event

__all__ = ["Exchanged", "FrameSent", "SocketClosed", "SocketOpened"]


class Exchanged(Event, frozen=True, kw_only=True):
    """One HTTP exchange ended.

    :ivar query: as it stood behind the ``?``.
    :ivar status: 0 when the client was gone before the answer.
    """

    method: str
    path: str
    query: str = ""
    status: int
    size_bytes: int = 0


class SocketOpened(Event, frozen=True, kw_only=True):
    """A websocket was opened under this id."""

    client_id: str


class SocketClosed(Event, frozen=True, kw_only=True):
    """A websocket is gone.

    :ivar reason: ``closed`` or ``too slow``.
    """

    client_id: str
    reason: str


class FrameSent(Event, frozen=True, kw_only=True):
    """One websocket message went out.

    :ivar type: ComfyUI's message type, or ``binary-1``, ``binary-3``, ``binary-4``.
    :ivar to: the client ids that it was sent to; never empty.
    """

    type: str
    prompt_id: str | None = None
    to: tuple[str, ...]
