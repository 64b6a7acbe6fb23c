"""A saved log, read line by line, as far as it can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import msgspec

from comfyfarm.events import Event
from comfyfarm.events.filters import all_kinds

OnDefect = Callable[[str, int], None]
"""Is told what is wrong, and the ``seq`` where that is; 0 where that is not known."""

_END = b"\n"
_MOST = 1 << 53      # what any JSON reader can count to
_MOST_LETTERS = 60
_KINDS = frozenset(all_kinds())
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(reduce(or_, Event.__subclasses__()))


def read_events(lines: Iterable[bytes], on_defect: OnDefect) -> Iterator[Event]:
    """Read a log, in memory for one line.

    What a later version has added to an event is not looked at.  What cannot be read is left out; so is what stands
    there a second time, or out of its order.

    :param lines: of JSON, with or without their ends; those of a file, for example.
    :param on_defect: is told of each thing that is wrong.
    """
    reader = _Reader(on_defect)
    for line in lines:
        if (event := reader.read(line)) is not None:
            yield event
    if not reader.seq:
        on_defect("there is no event in it", 0)


@dataclass(eq=False)
class _Reader:
    """Remembers how far it is.

    :ivar line: the number of the line, from 1.
    :ivar seq: of the latest event; 0 before the first.
    """

    on_defect: OnDefect
    line: int = 0
    seq: int = 0

    def read(self, line: bytes) -> Event | None:
        """The event of the next line; ``None`` where there is none, or none that can be used."""
        self.line += 1
        if not line.strip():
            return None
        try:
            event = _decoder.decode(line)
        except _UNREADABLE as why:
            self._explain(line, why)
            return None
        if max(event.seq, abs(event.at_ms)) > _MOST:
            self.on_defect(f"line {self.line} has a seq or a moment that cannot be", 0)
            return None
        return event if self._is_next(event.seq) else None

    def _is_next(self, seq: int) -> bool:
        """Whether an event with this number is new, and the order is kept."""
        if seq <= self.seq:
            what = f"seq {seq} stands again, or too late" if seq else f"line {self.line} has no seq"
            self.on_defect(f"{what}, and is left out", seq)
            return False
        if seq > self.seq + 1:
            first, last = self.seq + 1, seq - 1
            self.on_defect(f"seq {first} is missing" if first == last else f"seq {first} to {last} are missing", seq)
        self.seq = seq
        return True

    def _explain(self, line: bytes, why: Exception) -> None:
        """Tell what is wrong with a line, and count it where it says its number."""
        try:
            said: Any = json.loads(line)
        except (ValueError, RecursionError):
            self.on_defect(f"line {self.line} is {'no JSON' if line.endswith(_END) else 'torn'}", 0)
            return
        kind = said.get("kind") if isinstance(said, dict) else None
        if not isinstance(kind, str):
            self.on_defect(f"line {self.line} is no event", 0)
            return
        seq = said.get("seq")
        seq = seq if isinstance(seq, int) and 0 < seq <= _MOST else 0
        if not seq or self._is_next(seq):
            where = f"seq {seq}" if seq else f"line {self.line}"
            self.on_defect(f"{where} {_trouble(kind, why)}", seq)


def _trouble(kind: str, why: Exception) -> str:
    """What keeps an event of this kind from being read, for a sentence."""
    if kind not in _KINDS:
        return f"is of a kind that is not known here, {kind[:_MOST_LETTERS]!r}"
    return f"({kind}) cannot be read: {str(why).replace('`', '')[:_MOST_LETTERS * 2]}"
