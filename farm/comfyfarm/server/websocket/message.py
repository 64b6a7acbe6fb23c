"""One websocket message, and what is known of it beside its words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from comfyfarm.events import FrameSent, Taken
from comfyfarm.faults.editing import prompt_id_in, remaining_in, type_of
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.server.websocket.connection import frame


@dataclass(frozen=True)
class OutgoingMessage:
    """A message to one or more sockets.

    :ivar at_ms: when it goes out.
    :ivar type: ComfyUI's message type, or ``binary-1``, ``binary-3``, ``binary-4``.
    :ivar content: text or bytes.
    :ivar prompt_id: the job that it is about, or ``None``.
    :ivar shown: the ``queue_remaining`` that it shows, or ``None``.
    :ivar taken: the running job, where it is about that.
    :ivar node: the node that it is about, or empty.
    :ivar is_told: whether the log has it; the greeting and the answer to feature flags are not told.
    """

    at_ms: int
    type: str
    content: str | bytes
    prompt_id: str | None = None
    shown: int | None = None
    taken: Taken | None = None
    node: str = ""
    is_told: bool = True

    @cached_property
    def framed(self) -> bytes:
        """Its bytes on the wire: the same for every socket."""
        return frame(self.content)

    def facts(self, client_id: str) -> PhaseFacts:
        """What faults may look at when it goes to this client."""
        taken = self.taken
        return PhaseFacts(
            type=self.type,
            client=client_id,
            node=self.node,
            prompt_id=self.prompt_id or (taken.prompt_id if taken is not None else None),
            job=taken.ordinal if taken is not None else 0,
            job_name=taken.job if taken is not None else "",
        )

    def note(self, to: tuple[str, ...]) -> FrameSent:
        """What the log says when it has gone out to these clients."""
        return FrameSent(at_ms=self.at_ms, type=self.type, prompt_id=self.prompt_id, to=to, shown=self.shown)

    def at(self, at_ms: int) -> OutgoingMessage:
        """The same at another moment."""
        return replace(self, at_ms=at_ms)

    def encoded_at(self, content: str | bytes) -> OutgoingMessage:
        """The same with other words, which decide what it is."""
        if content == self.content:
            return self
        return replace(
            self,
            content=content,
            type=type_of(content),
            prompt_id=prompt_id_in(content),
            shown=remaining_in(content),
        )
