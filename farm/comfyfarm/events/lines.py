"""The lines of a saved log, in which little is said twice (docs/log-lines.md).

Every line is one event, as JSON, and the messages that were sent because of it.  Three things keep lines short:

- An event of a job refers to the line that submitted the job (``of``), and lacks what that line says.
- It lacks what the lines above it say: the time, if it is that of the event before; the node that runs.
- The messages that an event usually causes are counted (``frames``).  They are events of their own, with the next
  numbers.

The writer of lines and their expander each have a :class:`LineContext`, which follows the events, so that both know
what a line may lack.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec import UNSET

from comfyfarm.events import (
    Cached,
    Delivered,
    Event,
    Exchanged,
    Failed,
    Finished,
    FrameSent,
    Interrupted,
    NodeFinished,
    NodeStarted,
    PictureSent,
    Progressed,
    QueueCleared,
    QueueDeleted,
    Started,
    Submitted,
    Succeeded,
    Taken,
)

_MOST_JOBS = 1000
"""As many jobs, submitted last, can be referred to."""

_OF_JOB = {
    "instance": "instance",
    "epoch": "epoch",
    "prompt_id": "prompt_id",
    "job": "job",
    "client_id": "client_id",
    "stamp_job": "job",
    "stamp_prompt_id": "prompt_id",
}
"""Fields of an event that repeat one of its job's."""

OF_EVENT = {"shown_as": "node", "began_ms": "at_ms"}
"""Fields of an event that repeat another one of the same event."""

_LATEST = frozenset({"folder", "max", "method", "node", "nodes", "path", "subfolder", "work"})
"""Fields of an event that repeat the field of this name in the latest event of a job of the same instance."""

_OWN: dict[type[Event], frozenset[str]] = {
    Delivered: frozenset({"epoch"}),
    Exchanged: frozenset({"client_id"}),
    NodeStarted: frozenset({"node"}),
}
"""Fields that seldom repeat anything, although those of the same name usually do."""

_MESSAGES: dict[type[Event], tuple[str, ...]] = {
    Submitted: ("status",),
    QueueCleared: ("status",),
    QueueDeleted: ("status", "status"),
    Taken: ("status",),
    Started: ("execution_start",),
    Cached: ("execution_cached",),
    NodeStarted: ("progress_state", "executing"),
    Progressed: ("progress_state", "progress"),
    NodeFinished: ("progress_state",),
    Succeeded: ("execution_success",),
    Failed: ("execution_error",),
    Interrupted: ("execution_interrupted",),
    PictureSent: ("progress_state", "progress", "binary-1"),
    Finished: ("status", "executing"),
}
"""The messages that an event usually causes: ``status`` to everybody, the others to the client of its job only."""


@cache
def repeating(kind: type[Event]) -> tuple[str, ...]:
    """Return the fields that a short line of this kind may lack because they repeat something."""
    names = {*_OF_JOB, *OF_EVENT, *_LATEST} - _OWN.get(kind, frozenset())
    return tuple(name for name in kind.__struct_fields__ if name in names)


REPEATED = {
    kind: names
    for kind in Event.__subclasses__()
    if (names := tuple(name for name in kind.__struct_fields__ if name in _LATEST)) and hasattr(kind, "prompt_id")
}
"""By kind of event, the fields that later events of a job may repeat."""


def _usual_types(kind: type[Event], event: Any) -> tuple[str, ...]:
    if kind is NodeFinished and event.output is not None:
        return "executed", "progress_state"
    return _MESSAGES.get(kind, ())


@dataclass(eq=False)
class LineContext:
    """What the lines so far say.

    :ivar seq: of the latest event.
    :ivar at_ms: its time.
    """

    seq: int = 0
    at_ms: int = 0
    jobs: dict[int, Submitted] = field(default_factory=dict)                # by seq, the latest _MOST_JOBS
    _seqs: dict[tuple[str, str], int] = field(default_factory=dict)         # by instance and prompt id
    _receivers: dict[str, tuple[str, ...]] = field(default_factory=dict)    # of the latest status, by instance
    latest: dict[tuple[str, str], Any] = field(default_factory=dict)        # by instance and name of the field

    def job_of(self, event: Event) -> Submitted | None:
        """Return the job that a line of this event may refer to."""
        prompt_id = getattr(event, "prompt_id", None)
        if not isinstance(prompt_id, str):      # a client may have sent anything
            return None
        return self.jobs.get(self._seqs.get((event.instance, prompt_id), 0))

    def implied(self, job: Submitted, name: str) -> Any:
        """Return the value of a field that a short line lacks; ``UNSET`` if it cannot lack this field."""
        source = _OF_JOB.get(name)
        return getattr(job, source) if source else self.latest.get((job.instance, name), UNSET)

    def messages(self, kind: type[Event], event: Any, place: Any, seq: int, at_ms: int) -> list[FrameSent]:
        """Return the messages that an event usually causes, after it was noted.

        :param event: the event, or its short line.
        :param place: has its instance, epoch and prompt id: the event, or its job.
        """
        job = self.job_of(place)
        receivers = self._receivers.get(place.instance, ())
        client = (job.client_id,) if job is not None and isinstance(job.client_id, str) else ()
        messages: list[FrameSent] = []
        for name in _usual_types(kind, event):
            is_status = name == "status"
            if to := receivers if is_status else client:
                seq += 1
                messages.append(
                    FrameSent(
                        seq=seq,
                        at_ms=at_ms,
                        instance=place.instance,
                        epoch=place.epoch,
                        type=name,
                        prompt_id=None if is_status else place.prompt_id,
                        to=to,
                        shown=event.queue_remaining if is_status else None,
                    )
                )
        return messages

    def note(self, event: Event) -> None:
        """Take into account what an event says, after its line."""
        self.seq, self.at_ms = event.seq, event.at_ms
        if (note := _NOTES.get(type(event))) is not None:
            note(self, event)

    def note_latest(self, names: Iterable[str], event: Any, instance: str) -> None:
        """Note those fields that an event or a short line has."""
        for name in names:
            if (value := getattr(event, name)) is not UNSET:
                self.latest[instance, name] = value

    def note_fields(self, event: Any) -> None:
        if event.prompt_id is not None:
            self.note_latest(REPEATED[type(event)], event, event.instance)

    def note_message(self, event: FrameSent) -> None:
        if event.type == "status":
            self._receivers[event.instance] = event.to

    def note_job(self, event: Submitted) -> None:
        self.jobs[event.seq] = event
        self._seqs[event.instance, event.prompt_id] = event.seq
        if len(self.jobs) > _MOST_JOBS:
            oldest = self.jobs.pop(next(iter(self.jobs)))
            if self._seqs.get((oldest.instance, oldest.prompt_id)) == oldest.seq:
                del self._seqs[oldest.instance, oldest.prompt_id]


_NOTES: dict[type[Event], Callable[[LineContext, Any], None]] = {
    **dict.fromkeys(REPEATED, LineContext.note_fields),
    FrameSent: LineContext.note_message,
    Submitted: LineContext.note_job,
}
"""What is done with an event, by its kind."""
