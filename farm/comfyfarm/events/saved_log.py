"""Reading of saved logs, including incomplete and damaged ones."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from comfyfarm.events import Configured, Event, LogEnded
from comfyfarm.events.filters import all_kinds
from comfyfarm.events.line_expander import LineExpander

OnDefect = Callable[[str, int], None]
"""Called with the description of a defect and the ``seq`` of its event; 0 if that is not known."""

_LINE_END = b"\n"
_MAX_NUMBER = 1 << 53       # any JSON reader can represent integers up to this
_MIN_NUMBER = -_MAX_NUMBER
_MAX_CHARACTERS = 60
_KINDS = frozenset(all_kinds())
_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

def read_events(
    lines: Iterable[bytes],
    on_defect: OnDefect,
    *,
    needs_end: bool = False,
    kinds: Collection[type[Event]] | None = None,
) -> Iterator[Event]:
    """Yield the events of a log, holding one line in memory at a time.

    Unknown fields, which a later version may have added, are ignored.  Lines that cannot be decoded and events that
    are repeated or out of order are reported and skipped.

    :param lines: lines of JSON, with or without line ends, such as an open binary file.
    :param needs_end: a log without an end is defective, if it is of a version that writes one.
    :param kinds: the events that are needed; ``None``: all.  Of others there is a plain :class:`Event` if they are the
        last ones, or later than the next: with the number of the last of them and the latest of their times.
    """
    needed: frozenset[type[Event]] | None = None if kinds is None else frozenset([*kinds, Configured, LogEnded])
    reader = _Reader(on_defect, LineExpander(needed))
    first = last = skipped = None
    for event in (event for line in lines for event in reader.read(line)):
        if needed is not None and type(event) not in needed:
            skipped = event if skipped is None or event.at_ms >= skipped.at_ms else replace(skipped, seq=event.seq)
            continue
        if skipped is not None:
            if skipped.at_ms > event.at_ms or type(event) is LogEnded:
                yield Event(seq=skipped.seq, at_ms=skipped.at_ms)
            skipped = None
        first = first or event
        last = event
        yield event
    if skipped is not None:
        last = skipped
        yield Event(seq=skipped.seq, at_ms=skipped.at_ms)
    if not reader.seq:
        on_defect("there is no event in it", 0)
    if needs_end and isinstance(first, Configured) and first.version and not isinstance(last, LogEnded):
        on_defect("the log has no end: the farm was killed, or still runs", 0)


@dataclass(eq=False)
class _Reader:
    """The state of reading a log.

    :ivar lines: makes the events of the lines.
    :ivar line: number of the current line, from 1.
    :ivar seq: of the last event; 0 before the first.
    """

    on_defect: OnDefect
    lines: LineExpander = field(default_factory=LineExpander)
    line: int = 0
    seq: int = 0

    def read(self, line: bytes) -> Sequence[Event]:
        """Return the events of the next line; none if it is empty or its event is skipped."""
        self.line += 1
        try:
            event, short = self.lines.expand(line)
        except _DECODE_ERRORS as error:
            if line.strip():
                self._report(line, error)
            return ()
        seq = event.seq
        if seq > _MAX_NUMBER or not _MIN_NUMBER <= event.at_ms <= _MAX_NUMBER:
            self.on_defect(f"line {self.line} has a seq or a moment that cannot be", 0)
            return ()
        if seq == self.seq + 1:
            self.seq = seq
        elif not self._is_next(seq):
            return ()
        messages = self.lines.note(event, short)
        if messages is None:
            return (event,)
        if len(messages) < short.frames:
            self.on_defect(f"seq {self.seq + 1 + len(messages)} to {self.seq + short.frames} cannot be read", event.seq)
        self.seq += short.frames
        return event, *messages

    def _is_next(self, seq: int) -> bool:
        """Return whether an event with this ``seq`` is in order; report gaps, repetitions and missing numbers."""
        if seq <= self.seq:
            what = f"seq {seq} stands again, or too late" if seq else f"line {self.line} has no seq"
            self.on_defect(f"{what}, and is left out", seq)
            return False
        if seq > self.seq + 1:
            first, last = self.seq + 1, seq - 1
            self.on_defect(f"seq {first} is missing" if first == last else f"seq {first} to {last} are missing", seq)
        self.seq = seq
        return True

    def _report(self, line: bytes, error: Exception) -> None:
        """Report a line that cannot be decoded; its ``seq``, if it has one, counts as read."""
        try:
            content: Any = json.loads(line)
        except (ValueError, RecursionError):
            self.on_defect(f"line {self.line} is {'no JSON' if line.endswith(_LINE_END) else 'torn'}", 0)
            return
        kind = content.get("kind", "progressed" if "step" in content else None) if isinstance(content, dict) else None
        if not isinstance(kind, str):
            self.on_defect(f"line {self.line} is no event", 0)
            return
        seq = content.get("seq")
        seq = seq if isinstance(seq, int) and 0 < seq <= _MAX_NUMBER else 0
        if not seq or self._is_next(seq):
            subject = f"seq {seq}" if seq else f"line {self.line}"
            self.on_defect(f"{subject} {_defect(kind, error)}", seq)
            if seq and isinstance(at_ms := content.get("at_ms"), int):
                self.lines.skip(seq, at_ms)


def _defect(kind: str, error: Exception) -> str:
    if kind not in _KINDS:
        return f"is of a kind that is not known here, {kind[:_MAX_CHARACTERS]!r}"
    return f"({kind}) cannot be read: {str(error).replace('`', '')[:_MAX_CHARACTERS * 2]}"
