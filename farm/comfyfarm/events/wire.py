"""What goes over the wire: exchanges, sockets, frames."""

from __future__ import annotations

from comfyfarm.events.base import Event


class Exchanged(Event, frozen=True, kw_only=True):
    """One HTTP exchange ended.

    :ivar query: as it stood behind the ``?``.
    :ivar status: 0 where the client got no answer.
    :ivar began_ms: when the request came.
    :ivar prompt_id: of the job that a ``POST /prompt`` was taken on as, whatever the client heard of it.
    :ivar job: the logical job of a ``POST /prompt`` or ``POST /interrupt``, as far as the request could be read.
    :ivar client_id: as the request names it, in its query or body.
    :ivar retry_after_ms: how long the answer told the client to wait; ``None``: it did not.
    :ivar shown: the ``queue_remaining`` that the answer showed, true or not; ``None`` where it showed none.
    """

    method: str
    path: str
    query: str = ""
    status: int
    size_bytes: int = 0
    began_ms: int = 0
    prompt_id: str | None = None
    job: str = ""
    client_id: str | None = None
    retry_after_ms: int | None = None
    shown: int | None = None


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
    :ivar shown: the ``queue_remaining`` that it showed, true or not; ``None`` where it showed none.
    """

    type: str
    prompt_id: str | None = None
    to: tuple[str, ...]
    shown: int | None = None
