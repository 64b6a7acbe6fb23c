"""A logical job and its attempts, as far as a log has told of them by now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

End = Literal["success", "error", "interrupted", "lost", "deleted", "forgotten", "refused"]
"""How an attempt ended.  ``lost``: its process did; ``deleted``: a client took it out of the queue; ``forgotten``: in a
reset; ``refused``: it was never taken on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """An interrupt that hit an attempt.

    :ivar job: the logical job that the client said it means; empty where it said none.
    :ivar names_prompt: the client named the prompt id.
    :ivar had_company: another logical job waited on the instance then, or ended there while this one was there.
    """

    seq: int
    at_ms: int
    job: str
    names_prompt: bool
    had_company: bool


@dataclass(eq=False, slots=True)
class Attempt:
    """One time that a logical job was sent to an instance, and got there.

    :ivar number: among the attempts of its logical job, from 1, in the order in which they were decided.
    :ivar epoch: of the instance, when it was sent.
    :ivar prompt_id: ``None`` where it was never taken on.
    :ivar sent_ms: when it was taken on or refused.
    :ivar seq: of the event that says so; the events that prove a finding are named by such numbers.
    :ivar began_ms: when its request came: ``sent_ms`` until its answer tells better.
    :ivar status: of the answer to its ``POST /prompt``: 0 where the client got none, ``None`` while that is not known.
    :ivar answered_ms: when that was sent.
    :ivar retry_after_ms: how long the answer told the client to wait, or ``None``.
    :ivar is_unreadable: a fault has spoilt that answer: its client knows the status at most, and not why.
    :ivar error: the type of a refusal, or of the exception that ended it.
    :ivar missing: what the instance had not, where it was refused for that.
    :ivar done_seq: of the event that says that every node was done; 0 before, and where that never came.
    :ivar end: ``None`` while it waits or runs.
    :ivar fetched: how often its files were sent to a client.
    :ivar seen: how often a client was shown its result: over its websocket, or in history or as a job, after its end.
    :ivar stop: the first interrupt that hit it.
    :ivar is_interrupted: its run was stopped.
    :ivar kill_seq: of the first crash of its process while it ran; 0 where there was none.
    :ivar had_fault: a fault befell it.
    :ivar is_unheard: the socket of its client is gone.
    :ivar is_load: the farm sent it itself: the system under test has nothing to do with it.
    """

    number: int
    job: str
    instance: str
    epoch: int
    prompt_id: str | None
    sent_ms: int
    seq: int
    client_id: str | None = None
    began_ms: int = 0
    status: int | None = None
    answered_ms: int | None = None
    answer_seq: int = 0
    retry_after_ms: int | None = None
    is_unreadable: bool = False
    error: str = ""
    missing: tuple[str, ...] = ()
    taken_ms: int | None = None
    done_seq: int = 0
    end: End | None = None
    ended_ms: int | None = None
    end_seq: int = 0
    files: int = 0
    fetched: int = 0
    is_load: bool = False
    seen: int = 0
    stop: Stop | None = None
    is_interrupted: bool = False
    kill_seq: int = 0
    had_fault: bool = False
    is_unheard: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether it was taken on."""
        return self.end != "refused"

    @property
    def is_open(self) -> bool:
        """Whether it still waits or runs."""
        return self.end is None

    @property
    def is_retryable(self) -> bool:
        """Whether it failed before it was taken on, in a way that says nothing against trying again."""
        status = self.status
        return self.end == "refused" and status is not None and (status in {0, 429} or status >= 500)

    @property
    def reported_ms(self) -> int | None:
        """When its client can have known of its failure: at the answer to what was never taken on, else at its end."""
        return self.answered_ms if self.end == "refused" and self.answered_ms is not None else self.ended_ms

    @property
    def reported_seq(self) -> int:
        """Of the event of that moment."""
        return self.answer_seq if self.end == "refused" and self.answer_seq else self.end_seq

    def is_behind(self, seq: int, at_ms: int) -> bool:
        """Whether it was sent after something: not decided before it, nor already on its way then."""
        return self.seq > seq and self.began_ms >= at_ms

    def is_reported(self, other: Attempt) -> bool:
        """Whether its client can have known, when it was sent, how another attempt had failed.

        Two logical jobs may have been sent side by side: at the same moment the one says nothing about the other.
        """
        reported_ms = other.reported_ms or 0
        return self.is_behind(other.reported_seq, reported_ms) and (
            self.job == other.job or self.began_ms > reported_ms
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the system under test says that it has handed over."""

    seq: int
    at_ms: int
    instance: str
    prompt_id: str | None
    stamp_job: str
    stamp_prompt_id: str | None
    file: str

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """The attempts that it is said to come from."""
        return tuple(each for each in (self.prompt_id, self.stamp_prompt_id) if each)


@dataclass(eq=False, slots=True)
class LogicalJob:
    """What the user meant.

    :ivar attempts: in the order in which they were decided.
    :ivar given_up_seq: of the latest interrupt that named it or one of its attempts, whether or not it hit; 0 for none.
    """

    name: str
    attempts: list[Attempt] = field(default_factory=list)
    delivered: list[Delivery] = field(default_factory=list)
    given_up_seq: int = 0

    @property
    def is_load(self) -> bool:
        """Whether the farm sent it itself."""
        return bool(self.attempts) and self.attempts[0].is_load

    def ended(self, *ends: End) -> list[Attempt]:
        """The attempts that ended in one of these ways."""
        return [each for each in self.attempts if each.end in ends]
