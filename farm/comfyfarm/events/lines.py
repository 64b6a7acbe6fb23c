"""The lines of a saved log, in which little is said twice (docs/log-lines.md).

Every line is one event, as JSON, and the messages that were sent because of it.  Three things keep lines short:

- An event of a job refers to the line that submitted the job (``of``), and lacks what that line says.
- It lacks what the lines above it say: the time, if it is that of the event before; the node that runs.
- The messages that an event usually causes are counted (``frames``).  They are events of their own, with the next
  numbers.

:class:`LineWriter` and :class:`LineExpander` follow the same events, so that both know what a line may lack.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from itertools import takewhile
from operator import or_
from typing import Any, cast

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType

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
from comfyfarm.events.encoding import as_json

_MOST_JOBS = 1000
"""As many jobs, submitted last, can be referred to."""

_KIND, _OF, _STEP, _FRAMES = b'{"kind', b'{"of":', b'{"step":', b'{"frames":'

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

_OF_EVENT = {"shown_as": "node", "began_ms": "at_ms"}
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
def _repeating(kind: type[Event]) -> tuple[str, ...]:
    """Return the fields that a short line of this kind may lack because they repeat something."""
    names = {*_OF_JOB, *_OF_EVENT, *_LATEST} - _OWN.get(kind, frozenset())
    return tuple(name for name in kind.__struct_fields__ if name in names)


_REPEATED = {
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
class _Context:
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
            self.note_latest(_REPEATED[type(event)], event, event.instance)

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


_NOTES: dict[type[Event], Callable[[_Context, Any], None]] = {
    **dict.fromkeys(_REPEATED, _Context.note_fields),
    FrameSent: _Context.note_message,
    Submitted: _Context.note_job,
}
"""What is done with an event, by its kind."""


@dataclass(eq=False)
class LineWriter:
    """Writes events, which come in the order of the log, as lines."""

    _context: _Context = field(default_factory=_Context)

    def lines(self, events: Sequence[Event]) -> bytes:
        """Return the lines of these events, with line ends; messages in them belong to the events before them."""
        parts, index = [], 0
        while index < len(events):
            event = events[index]
            job = self._context.job_of(event)
            short = self._short(event, job) if job is not None else None
            self._context.note(event)
            expected = self._context.messages(type(event), event, event, event.seq, event.at_ms)
            count = _common(expected, events[index + 1 : index + 1 + len(expected)])
            for message in expected[:count]:
                self._context.note(message)
            parts.append(_line(event, short, count))
            index += 1 + count
        return b"".join(parts)

    def _short(self, event: Event, job: Submitted) -> dict[str, Any]:
        fields = msgspec.to_builtins(event)
        if event.seq == self._context.seq + 1 and event.at_ms == self._context.at_ms:
            del fields["at_ms"]
        for name in _repeating(type(event)):
            value, same = getattr(event, name), _OF_EVENT.get(name)
            if value == (getattr(event, same) if same else self._context.implied(job, name)):
                fields.pop(name, None)
            else:
                fields[name] = msgspec.to_builtins(value)
        if type(event) is Progressed and not {"instance", "epoch", "prompt_id", "node", "max"} & fields.keys():
            del fields["kind"]
            return {"step": fields.pop("value"), "of": job.seq, **fields}
        return {"of": job.seq, **fields}


def _line(event: Event, short: dict[str, Any] | None, frames: int) -> bytes:
    if short is not None:
        return as_json({**short, "frames": frames} if frames else short) + b"\n"
    line = as_json(event)
    return b"%b%d,%b\n" % (_FRAMES, frames, line[1:]) if frames else line + b"\n"


def _common(expected: Sequence[Event], events: Sequence[Event]) -> int:
    """Return how many events the sequences have in common at their beginning."""
    pairs = zip(expected, events, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


# Reading.


class _Short(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A line that refers to its job: a subclass for each kind of event has the other fields, which it may lack."""

    of: int
    frames: int = 0


def _short_type(kind: type[Event]) -> type[_Short]:
    fields: list[Any] = []
    for own in msgspec.structs.fields(kind):
        if own.name == "at_ms" or own.name in _repeating(kind):
            fields.append((own.name, own.type | UnsetType if own.type is not Any else Any, UNSET))
        else:
            default = own.default if own.default is not NODEFAULT else own.default_factory
            fields.append((own.name, own.type) if own.required else (own.name, own.type, default))
    tag = kind.__struct_config__.tag
    made = msgspec.defstruct(kind.__name__, fields, bases=(_Short,), frozen=True, kw_only=True, tag=tag)
    return cast("type[_Short]", made)


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """The line of a :class:`Progressed` of the node that the line before it names."""

    value: int = msgspec.field(name="step")
    epoch: UnsetType = UNSET
    node: UnsetType = UNSET
    max: UnsetType = UNSET
    of: int
    seq: int
    at_ms: int | UnsetType = UNSET
    frames: int = 0


class _Frames(msgspec.Struct, frozen=True):
    """What a line with all fields has besides those of its event."""

    frames: int


_KINDS: dict[type[_Short], type[Event]] = {_short_type(kind): kind for kind in Event.__subclasses__()}

_short_decoder: msgspec.json.Decoder[_Short] = msgspec.json.Decoder(reduce(or_, _KINDS))
_step_decoder = msgspec.json.Decoder(_Step)
_frames_decoder = msgspec.json.Decoder(_Frames)
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(reduce(or_, Event.__subclasses__()))

_PLANS = {kind: [(name, _OF_EVENT.get(name)) for name in _repeating(kind)] for kind in _KINDS.values()}
"""By kind, the fields that a short line may lack, each with the field of the same event that it repeats, if any."""


_KEPT = frozenset({Submitted, FrameSent})
"""Events that later lines refer to as a whole."""


def _missing() -> msgspec.ValidationError:
    return msgspec.ValidationError("a line that it refers to is missing")


@dataclass(eq=False)
class LineExpander:
    """Makes the events of lines again.

    :ivar kinds: the kinds of events that are needed; of another only its number and time are.  ``None``: all.
    """

    kinds: Collection[type[Event]] | None = None
    _context: _Context = field(default_factory=_Context)

    def expand(self, line: bytes) -> tuple[Event, Any]:
        """Return the event of a line, and the short line, if it is one.

        :raises msgspec.MsgspecError: if it cannot be read.
        """
        head = line[:6]
        if head == _KIND:
            return _decoder.decode(line), None
        if head == _OF:
            short: Any = _short_decoder.decode(line)
            return self._event(_KINDS[type(short)], short), short
        if line.startswith(_STEP):
            short = _step_decoder.decode(line)
            return self._event(Progressed, short), short
        return _decoder.decode(line), _frames_decoder.decode(line) if line.startswith(_FRAMES) else None

    def _event(self, kind: type[Event], short: Any) -> Event:
        context = self._context
        job, at_ms = context.jobs.get(short.of), short.at_ms
        if job is None:
            raise msgspec.ValidationError(f"the line of its job, seq {short.of}, is missing")
        if at_ms is UNSET:
            if short.seq != context.seq + 1:
                raise _missing()
            at_ms = context.at_ms
        # A process that kept its queue has another epoch than the job.
        if self.kinds is not None and kind not in self.kinds and kind not in _KEPT and short.epoch is UNSET:
            return Event(seq=short.seq, at_ms=at_ms)
        values = msgspec.structs.asdict(short)
        values["at_ms"] = at_ms
        del values["of"], values["frames"]
        for name, of_event in _PLANS[kind]:
            if values.get(name, UNSET) is UNSET:
                value = values[of_event] if of_event else context.implied(job, name)
                if value is UNSET:
                    raise _missing()
                values[name] = value
        return kind(**values)

    def note(self, event: Event, short: Any) -> list[FrameSent] | None:
        """Take an event into account, and return its messages; ``None`` if its line counts none.

        They are fewer than it counts if lines that they depend on are missing.
        """
        context = self._context
        context.note(event)
        if short is None:
            return None
        kind: type[Event] = type(event)
        place: Any = event
        if kind is Event:
            kind, place = _KINDS.get(type(short), Progressed), context.jobs[short.of]
            if type(short) is not _Step and (names := _REPEATED.get(kind)) is not None:
                context.note_latest(names, short, place.instance)
        if short.frames <= 0:
            return None
        about = short if type(short) in _KINDS else event
        messages = context.messages(kind, about, place, event.seq, event.at_ms)[: short.frames]
        for message in messages:
            context.note(message)
        context.seq = event.seq + short.frames
        return messages

    def skip(self, seq: int, at_ms: int) -> None:
        """Take the place and the time of an event into account that cannot be read otherwise."""
        self._context.seq, self._context.at_ms = seq, at_ms
