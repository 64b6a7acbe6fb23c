"""Events of exchanges and websockets, of client requests other than submissions, and of delivered results."""

from typing import Literal

from comfyfarm.events.base import Event, Folder

Damage = Literal["", "cut", "changed"]
"""What became of the body of an answer.  ``cut``: only its first bytes were sent; ``changed``: a fault sent another
body or a wrong length; empty: the client was sent all of it."""

Content = Literal["", "picture", "preview", "cut", "damaged", "empty", "HTML", "JSON", "text", "data"]
"""What the bytes of a delivery are.  ``picture``: a whole one; ``preview``: one that a sampler sent while it worked;
``cut``: the beginning of one; ``damaged``: one that cannot be decoded; ``HTML``, ``JSON``, ``text``, ``data``: no
picture but that; empty: no bytes were passed."""


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
    :ivar damage: of the response's body, if its status is 2xx.
    :ivar first_byte: position of the body's first byte in the file, if only a part was requested (206).
    :ivar traceparent: of W3C Trace Context, from the request's header; empty without one.
    :ivar request_headers: the request's, a line for each; empty unless ``journal_bodies`` is set.
    :ivar request_body: the same of its body.
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
    damage: Damage = ""
    first_byte: int = 0
    traceparent: str = ""
    request_headers: str = ""
    request_body: str = ""


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
    :ivar is_result: it holds a picture that a node made as its result (``SaveImageWebsocket``), not a preview.
    :ivar is_changed: its content is a fault's.
    """

    type: str
    prompt_id: str | None = None
    to: tuple[str, ...]
    shown: int | None = None
    is_result: bool = False
    is_changed: bool = False


class QueueCleared(Event, frozen=True, kw_only=True):
    """A client removed all pending jobs from the queue."""

    prompt_ids: tuple[str, ...]
    queue_remaining: int


class QueueDeleted(Event, frozen=True, kw_only=True):
    """A client removed one pending job from the queue.

    :ivar last: it was the last pending job; ComfyUI then sends the ``status`` message twice.
    """

    prompt_id: str
    queue_remaining: int
    last: bool


class InterruptAsked(Event, frozen=True, kw_only=True):
    """A client sent an interrupt.

    :ivar prompt_id: the prompt id in the request; ``None`` for the job that is running, whichever it is.
    :ivar hit: the prompt id of the job that will stop; ``None`` if no job will.
    :ivar job: the logical job in the request's header ``X-Comfyfarm-Job``, or in the one that ``job_name`` names; empty
        without one.
    :ivar is_load: it was sent by a scenario, not by the system under test.
    """

    prompt_id: str | None
    hit: str | None
    job: str = ""
    is_load: bool = False


class HistoryDeleted(Event, frozen=True, kw_only=True):
    """A client removed history entries."""

    prompt_ids: tuple[str, ...]


class Freed(Event, frozen=True, kw_only=True):
    """A client sent ``POST /free``."""

    unload_models: bool
    free_memory: bool


class Delivered(Event, frozen=True, kw_only=True):
    """The system under test reported that it delivered a result to its user.

    The event's ``instance`` is the one that made the result; empty if it was not reported.

    :ivar job: the logical job that the user requested.
    :ivar prompt_id: of the attempt that made the result; ``None`` if it was not reported.
    :ivar stamp_job: the logical job in the picture's stamp; empty if no stamp was passed.
    :ivar stamp_prompt_id: the prompt id in the picture's stamp.
    :ivar file: the name of the picture; empty if it was not reported.
    :ivar content: what the picture's bytes are.
    :ivar size_bytes: their number.
    :ivar digest: of the bytes: BLAKE2b of 8 bytes, in hex; empty if none were passed.
    """

    job: str
    prompt_id: str | None = None
    stamp_job: str = ""
    stamp_prompt_id: str | None = None
    file: str = ""
    content: Content = ""
    size_bytes: int = 0
    digest: str = ""


class Uploaded(Event, frozen=True, kw_only=True):
    """A client uploaded a file."""

    folder: Folder
    subfolder: str
    name: str
