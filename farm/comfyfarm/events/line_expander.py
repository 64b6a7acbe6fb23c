"""Makes the events of the lines of a saved log again."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, cast

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType

from comfyfarm.events import Event, FrameSent, Progressed, Submitted
from comfyfarm.events.lines import OF_EVENT, REPEATED, LineContext, repeating

_KIND, _OF, _STEP, _FRAMES = b'{"kind', b'{"of":', b'{"step":', b'{"frames":'


class _Short(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """A line that refers to its job: a subclass for each kind of event has the other fields, which it may lack."""

    of: int
    frames: int = 0


def _short_type(kind: type[Event]) -> type[_Short]:
    fields: list[Any] = []
    for own in msgspec.structs.fields(kind):
        if own.name == "at_ms" or own.name in repeating(kind):
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

_PLANS = {kind: [(name, OF_EVENT.get(name)) for name in repeating(kind)] for kind in _KINDS.values()}
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
    _context: LineContext = field(default_factory=LineContext)

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
            if type(short) is not _Step and (names := REPEATED.get(kind)) is not None:
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
