"""What a user wants of a client, and how far the client has come with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from comfyfarm.workflows import text_to_image

__all__ = ["Order", "Wish"]

State = Literal["waiting", "sending", "unsure", "there", "done", "given up"]


@dataclass(frozen=True)
class Wish:
    """One logical job.

    :ivar at_ms: when its user asks for it.
    :ivar model: the checkpoint that it needs; empty for one that every instance has.
    :ivar stop_ms: from this moment on its user wants it no more; ``None``: always.
    :ivar is_valid: an instance that takes it on is wrong in nothing.
    """

    name: str
    at_ms: int = 0
    model: str = ""
    stop_ms: int | None = None
    is_valid: bool = True

    def prompt(self, attempt: int) -> dict[str, Any]:
        """The graph; its file has a name of its own at each attempt."""
        prompt = text_to_image(attempt, prefix=f"{self.name}-{attempt}", width=64, height=64, steps=2)
        if self.model:
            prompt["4"]["inputs"]["ckpt_name"] = self.model
        if not self.is_valid:
            prompt["3"]["inputs"]["steps"] = -1
        return prompt


@dataclass(eq=False)
class Order:
    """A wish in a client's hands.

    :ivar state: ``unsure``: sent, and nobody knows whether it was taken on; ``there``: it was.
    :ivar where: the instance that it was sent to last.
    :ivar prompt_id: of its last attempt, chosen by the client.
    :ivar tries: how often it was sent.
    :ivar not_before_ms: until then it is left alone.
    :ivar kills: how many of its attempts were running when they were lost.
    :ivar has_run: the current attempt is known to have begun.
    :ivar has_succeeded: the current attempt is known to have succeeded: its file lies there, whatever else is gone.
    :ivar failures: how many of its attempts ended in an error.
    :ivar shunned: instances that it cannot run on.
    :ivar unreachable_ms: since when its instance refuses connections; ``None``: it does not.
    :ivar is_asking: a question about it is under way.
    :ivar is_stopped: its user wants it no more.
    :ivar stop_is_told: some instance knows that.
    :ivar picture: what was fetched for it.
    :ivar reported: the state of it that the farm was told last; empty: none.
    """

    wish: Wish
    state: State = "waiting"
    where: str = ""
    prompt_id: str = ""
    tries: int = 0
    not_before_ms: int = 0
    kills: int = 0
    has_run: bool = False
    has_succeeded: bool = False
    failures: int = 0
    shunned: set[str] = field(default_factory=set)
    unreachable_ms: int | None = None
    is_asking: bool = False
    is_stopped: bool = False
    stop_is_told: bool = False
    picture: bytes = b""
    reported: str = ""

    @property
    def name(self) -> str:
        """The logical job."""
        return self.wish.name

    @property
    def file(self) -> str:
        """The name of the file that its current attempt writes."""
        return f"{self.name}-{self.tries}_00001_.png"

    @property
    def is_over(self) -> bool:
        """Whether the client will do nothing more for it."""
        return self.state in {"done", "given up"} and self.stop_is_told >= self.is_stopped
