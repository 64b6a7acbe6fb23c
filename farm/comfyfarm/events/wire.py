"""Events of HTTP exchanges, websockets and their messages."""

from comfyfarm.events.base import Event


class Exchanged(Event, frozen=True, kw_only=True):
    """An HTTP exchange ended.

    :ivar query: the raw query string, without ``?``.
    :ivar status: 0 if the client received no response.
    :ivar began_ms: time at which the request arrived.
    :ivar prompt_id: of the job that a ``POST /prompt`` created, even if the client did not receive the response.
    :ivar job: the logical job of a ``POST /prompt`` or ``POST /interrupt``; empty if the request could not be parsed.
    :ivar client_id: from the request's query or body.
    :ivar retry_after_ms: the response's ``Retry-After``; ``None`` without one.
    :ivar shown: the ``queue_remaining`` in the response, which a fault may have changed; ``None`` without one.
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
    """A websocket was opened with this client id."""

    client_id: str


class SocketClosed(Event, frozen=True, kw_only=True):
    """A websocket was closed, for the reason ``closed`` or ``too slow``."""

    client_id: str
    reason: str


class FrameSent(Event, frozen=True, kw_only=True):
    """A websocket message was sent.

    :ivar type: ComfyUI's message type, or ``binary-1``, ``binary-3``, ``binary-4``.
    :ivar to: the client ids of the receivers; never empty.
    :ivar shown: the ``queue_remaining`` in the message, which a fault may have changed; ``None`` without one.
    """

    type: str
    prompt_id: str | None = None
    to: tuple[str, ...]
    shown: int | None = None
