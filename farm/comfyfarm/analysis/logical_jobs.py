"""Logical jobs and their attempts, as known from the log so far.

Python's garbage collector does not look at them (``gc=False``): it would stop the farm for a second when there are
100,000 jobs.  So none may refer, by way of others, to itself: a file does not know its attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import msgspec

from comfyfarm.analysis.job_files import BrokenFetch, JobFile
from comfyfarm.events import Work
from comfyfarm.events.clients import Content

T = TypeVar("T")

_HASH_LENGTH = 16

End = Literal["success", "error", "interrupted", "lost", "deleted", "forgotten", "refused", "internal"]
"""How an attempt ended.  ``lost``: with its process; ``deleted``: a client deleted it from the queue; ``forgotten``: by
a reset; ``refused``: it was never accepted; ``internal``: by an error of comfyfarm's own."""


def with_another(items: Sequence[T], item: T) -> Sequence[T]:
    """Return a sequence with one more item; it may be the same one.

    Most jobs have one attempt, one file and one delivery, and a tuple of one item is half as large as a list.
    """
    if isinstance(items, list):
        items.append(item)
        return items
    return [*items, item] if items else (item,)


class Stop(msgspec.Struct, frozen=True, gc=False):
    """An interrupt that hit an attempt, or its deletion from the queue.

    :ivar job: the logical job that the client meant, by its own statement; empty if it named none.
    :ivar names_prompt: the client named the prompt id.
    :ivar had_other_jobs: another logical job was open on the instance at that time, or had ended there after this
        attempt was accepted.
    :ivar is_load: a scenario sent it; the system under test is not responsible for it.
    """

    seq: int
    at_ms: int
    job: str
    names_prompt: bool
    had_other_jobs: bool
    is_load: bool = False


class Attempt(msgspec.Struct, eq=False, gc=False):
    """One submission of a logical job that reached an instance.

    :ivar number: among the attempts of its logical job, from 1, in the order in which they were decided.
    :ivar epoch: of the instance when it was sent.
    :ivar prompt_id: ``None`` if it was never accepted.
    :ivar sent_ms: when it was accepted or refused.
    :ivar seq: of the event at ``sent_ms``.
    :ivar began_ms: when its request arrived; equal to ``sent_ms`` until its answer gives the exact time.
    :ivar status: of the answer to its ``POST /prompt``: 0 if the client got none, ``None`` if not known yet.
    :ivar answered_ms: when that answer was sent.
    :ivar retry_after_ms: the ``Retry-After`` of the answer, or ``None``.
    :ivar is_unreadable: a fault corrupted the answer: the client knows its status at most, and no reason.
    :ivar error: the type of the refusal, or of the exception that ended it.
    :ivar missing: what the instance lacked, if it was refused for that.
    :ivar upload_seq: of the latest upload to the instance before it was decided; 0 if there was none.
    :ivar equipped_seq: of the latest change of the instance's models or node types before that; 0 if there was none.
    :ivar done_seq: of the event after the last node; 0 if there is none yet.
    :ivar end: ``None`` while it waits or runs.
    :ivar files: those that it wrote.
    :ivar file_fetches: how often a client received one of them, or a preview of it, whole.
    :ivar broken_fetch: the latest request for one of them that was answered otherwise; ``None`` once one is received.
    :ivar result_reads: how often a client received its result, by websocket or (after its end) from history or jobs.
    :ivar pictures: how many pictures it sent over the websocket as results (``SaveImageWebsocket``).
    :ivar pictures_sent: how many of these its client received whole.
    :ivar delivered_as: the first name, other than its own, under which a result of it was delivered.
    :ivar stop: the first interrupt that hit it, or its deletion from the queue.
    :ivar kill_seq: of the first crash of the process while it ran; 0 if there was none.
    :ivar disturbance: the ``seq`` and the time of the first fault on it, or of the first time that its instance stopped
        working or answering, while it was open; ``None`` if there was none.
    :ivar work: ``None`` until its run has ended by itself; set only if placement is measured.
    :ivar is_socket_closed: its client's websocket is closed.
    :ivar has_left_files: it was lost with its process after it had written files to a folder that users read.
    :ivar is_load: the farm sent it itself, as load; the system under test is not responsible for it.
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
    upload_seq: int = 0
    equipped_seq: int = 0
    taken_ms: int | None = None
    done_seq: int = 0
    end: End | None = None
    ended_ms: int | None = None
    end_seq: int = 0
    files: Sequence[JobFile] = ()
    file_fetches: int = 0
    broken_fetch: BrokenFetch | None = None
    is_load: bool = False
    result_reads: int = 0
    pictures: int = 0
    pictures_sent: int = 0
    delivered_as: str = ""
    stop: Stop | None = None
    is_interrupted: bool = False
    is_internal: bool = False
    kill_seq: int = 0
    had_fault: bool = False
    disturbance: tuple[int, int] | None = None
    work: Work | None = None
    is_socket_closed: bool = False
    has_left_files: bool = False

    @property
    def is_accepted(self) -> bool:
        return self.end != "refused"

    @property
    def is_open(self) -> bool:
        """True while it waits or runs."""
        return self.end is None

    @property
    def is_retryable(self) -> bool:
        """True if it was refused with 429, with 5xx or without an answer: none of these forbids another attempt."""
        status = self.status
        return self.end == "refused" and status is not None and (status in {0, 429} or status >= 500)

    @property
    def is_invalid(self) -> bool:
        """True if its client knows that this prompt or body is wrong, wherever it is sent."""
        return self.end == "refused" and self.status in {400, 413} and self.answered_ms is not None and not self.missing

    def is_repaired_since(self, refusal: Attempt) -> bool:
        """Return whether the instance may have got, since an earlier refusal, what that was for."""
        repaired_seq = self.equipped_seq if refusal.missing else max(self.upload_seq, self.equipped_seq)
        return repaired_seq > refusal.seq

    @property
    def has_result(self) -> bool:
        """True if its result could be taken."""
        # A client may fetch a file after the last node although the process then dies before the history entry exists.
        return self.end == "success" or (self.done_seq > 0 and self.file_fetches > 0) or self.has_left_files

    @property
    def is_doubtful(self) -> bool:
        """True if its client may have had a reason to send another one in its place."""
        return self.status != 200 or self.is_unreadable or self.disturbance is not None

    @property
    def reported_ms(self) -> int | None:
        """The first time at which its client can know of its failure: at the answer if it was refused, else its end."""
        return self.answered_ms if self.end == "refused" and self.answered_ms is not None else self.ended_ms

    @property
    def reported_seq(self) -> int:
        return self.answer_seq if self.end == "refused" and self.answer_seq else self.end_seq

    def may_be_retry_of(self, other: Attempt) -> bool:
        """Return whether its client had a reason to send it in place of another attempt, which it may have given up."""
        if other.status != 200 or other.is_unreadable:
            return other.answered_ms is not None and self.is_sent_after(other.answer_seq, other.answered_ms)
        was_open = other.is_open or other.end_seq > self.seq
        return was_open and other.disturbance is not None and self.is_sent_after(*other.disturbance)

    def is_sent_after(self, seq: int, at_ms: int) -> bool:
        """Return whether it was decided after an event, and its request did not arrive before the event's time."""
        return self.seq > seq and self.began_ms >= at_ms

    def is_sent_after_failure_of(self, other: Attempt, wire_ms: int) -> bool:
        """Return whether its client could know, when sending it, that another attempt had failed.

        :param wire_ms: the time that a request may have been under way.
        """
        reported_ms = other.reported_ms or 0
        # The same job is sent again because of that failure; another may have been under way when it was reported.
        return self.is_sent_after(other.reported_seq, reported_ms) and (
            self.job == other.job or self.began_ms > reported_ms + wire_ms
        )


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A delivery, as stated by the system under test; ``stamp_...``: as found in the picture.

    :ivar content: what its bytes are; empty if none were passed.
    :ivar size_bytes: of what is no whole picture; else 0.
    :ivar digest: of the bytes; empty if nothing but its name is needed to know the file.
    :ivar broken_fetch: if they are no whole picture, the latest request for the file that explains it.
    """

    seq: int
    at_ms: int
    instance: str
    prompt_id: str | None
    stamp_job: str
    stamp_prompt_id: str | None
    file: str
    content: Content
    size_bytes: int
    digest: str
    broken_fetch: BrokenFetch | None = None

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        stated, stamped = self.prompt_id, self.stamp_prompt_id
        return tuple(filter(None, (stated,) if stated == stamped else (stated, stamped)))


class UserOrder(msgspec.Struct, eq=False, gc=False):
    """A user's order, as reported by the test or by the software under test.

    :ivar asked_ms: the time at which the user asked; if that was not reported, of the first report.
    :ivar seq: of the first report.
    :ivar is_asked: it was reported that the user asked.
    :ivar failed_seq: of the report that the user was told of a failure, at ``failed_ms``; 0 if there was none.
    :ivar withdrawn_seq: of the report that the user wants it no more; 0 if there was none.
    :ivar withdrawn_ms: when the user withdrew it.
    """

    asked_ms: int
    seq: int
    is_asked: bool = False
    failed_seq: int = 0
    failed_ms: int = 0
    withdrawn_seq: int = 0
    withdrawn_ms: int = 0


class LogicalJob(msgspec.Struct, eq=False, gc=False):
    """A job as its user means it, over all its attempts.

    :ivar attempts: in the order in which they were decided.
    :ivar order: what was reported of the user's order; ``None``: nothing.
    :ivar given_up_seq: of the latest interrupt that named the job or one of its attempts, hit or not; 0 if none.
    :ivar marked_seq: of the latest event about it that has a mark on the timeline; 0 if none.
    :ivar is_returned: it had succeeded and been delivered, and then been forgotten
        (:mod:`comfyfarm.analysis.forgotten`); all else is what came later.
    """

    name: str
    attempts: Sequence[Attempt] = ()
    delivered: Sequence[Delivery] = ()
    order: UserOrder | None = None
    given_up_seq: int = 0
    marked_seq: int = 0
    is_returned: bool = False

    @property
    def is_load(self) -> bool:
        return bool(self.attempts) and self.attempts[0].is_load

    @property
    def is_ordered(self) -> bool:
        """True if it was reported that a user asked for it."""
        return self.order is not None and self.order.is_asked

    def ended(self, *ends: End) -> list[Attempt]:
        """Return the attempts that ended in one of these ways."""
        return [attempt for attempt in self.attempts if attempt.end in ends]


def is_hash(job: str) -> bool:
    """Return whether a logical job has no name of its own and is identified by the hash of its prompt."""
    return len(job) == _HASH_LENGTH and not job.strip("0123456789abcdef")
