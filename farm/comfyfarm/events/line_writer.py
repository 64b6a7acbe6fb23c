"""Writes events as the lines of a saved log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import msgspec

from comfyfarm.events import Event, Progressed, Submitted
from comfyfarm.events.encoding import as_json
from comfyfarm.events.lines import OF_EVENT, LineContext, repeating


@dataclass(eq=False)
class LineWriter:
    """Writes events, which come in the order of the log, as lines."""

    _context: LineContext = field(default_factory=LineContext)

    def lines(self, events: Sequence[Event]) -> bytes:
        """Return the lines of these events, with line ends; messages in them belong to the events before them."""
        return b"".join(self.each_line(events))

    def each_line(self, events: Sequence[Event]) -> Iterator[bytes]:
        """Yield the lines one by one."""
        index = 0
        while index < len(events):
            event = events[index]
            job = self._context.job_of(event)
            short = self._short(event, job) if job is not None else None
            self._context.note(event)
            expected = self._context.messages(type(event), event, event, event.seq, event.at_ms)
            count = _common(expected, events[index + 1 : index + 1 + len(expected)])
            for message in expected[:count]:
                self._context.note(message)
            yield _line(event, short, count)
            index += 1 + count

    def _short(self, event: Event, job: Submitted) -> dict[str, Any]:
        fields = msgspec.to_builtins(event)
        if event.seq == self._context.seq + 1 and event.at_ms == self._context.at_ms:
            del fields["at_ms"]
        for name in repeating(type(event)):
            value, same = getattr(event, name), OF_EVENT.get(name)
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
    return b'{"frames":%d,%b\n' % (frames, line[1:]) if frames else line + b"\n"


def _common(expected: Sequence[Event], events: Sequence[Event]) -> int:
    """Return how many events the sequences have in common at their beginning."""
    pairs = zip(expected, events, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
