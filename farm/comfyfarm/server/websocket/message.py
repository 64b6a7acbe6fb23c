"""A websocket message on its way to clients."""

from typing import Self

import msgspec
from msgspec.structs import replace

from comfyfarm.events import FrameSent, Taken
from comfyfarm.faults.editing import prompt_id_in, remaining_in, type_of
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.server.websocket.connection import frame


class OutgoingMessage(msgspec.Struct, eq=False):
    """A message to one or more sockets, with what faults and the log need to know of it; it is never changed.

    A Struct, because a frozen dataclass takes ten times as long to make.

    :ivar at_ms: the simulated time at which it is sent.
    :ivar type: ComfyUI's message type, or ``binary-1``, ``binary-3``, ``binary-4``.
    :ivar prompt_id: the job that it is about, or None.
    :ivar queue_remaining: the ``queue_remaining`` in it, or None.
    :ivar taken: the ``taken`` event of the running job, if it is about that.
    :ivar node: the node that it is about, or empty.
    :ivar is_result: it holds a picture that a node made as its result.
    :ivar is_changed: its content is a fault's.
    :ivar is_logged: whether it has an event in the log; the greeting and the answer to feature flags have none.
    """

    at_ms: int
    type: str
    content: str | bytes
    prompt_id: str | None = None
    queue_remaining: int | None = None
    taken: Taken | None = None
    node: str = ""
    is_result: bool = False
    is_changed: bool = False
    is_logged: bool = True
    _framed: bytes = b""

    @property
    def framed(self) -> bytes:
        """The bytes on the wire, encoded once for all sockets."""
        if not self._framed:
            self._framed = frame(self.content)
        return self._framed

    def facts(self, client_id: str) -> PhaseFacts:
        """Return what faults may filter on when it is sent to this client."""
        taken = self.taken
        return PhaseFacts(
            type=self.type,
            client=client_id,
            node=self.node,
            prompt_id=self.prompt_id or (taken.prompt_id if taken is not None else None),
            job=taken.ordinal if taken is not None else 0,
            job_name=taken.job if taken is not None else "",
        )

    def as_event(self, to: tuple[str, ...]) -> FrameSent:
        """Return the event that says that these clients were sent it."""
        return FrameSent(
            at_ms=self.at_ms,
            type=self.type,
            prompt_id=self.prompt_id,
            to=to,
            shown=self.queue_remaining,
            is_result=self.is_result,
            is_changed=self.is_changed,
        )

    def at(self, at_ms: int) -> Self:
        """Return the same message, sent at another time."""
        return replace(self, at_ms=at_ms)

    def with_content(self, content: str | bytes) -> Self:
        """Return the message with another content, which also decides its type and its prompt id."""
        if content == self.content:
            return self
        return replace(
            self,
            content=content,
            type=type_of(content),
            prompt_id=prompt_id_in(content),
            queue_remaining=remaining_in(content),
            is_result=False,
            is_changed=True,
            _framed=b"",
        )
