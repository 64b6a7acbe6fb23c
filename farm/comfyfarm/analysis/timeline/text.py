"""A timeline in plain text, for the report of a failed test."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from comfyfarm.analysis.timeline.lane import Lane, Mark, MarkKind, OutageKind
from comfyfarm.analysis.timeline.markup import extent, readable
from comfyfarm.analysis.timeline.scale import as_duration
from comfyfarm.analysis.timeline.svg_symbols import MEANINGS
from comfyfarm.analysis.timeline.timeline import Timeline

# If several fall on one character, the last of these is visible.
_OUTAGES: dict[OutageKind, str] = {"refusing": "#", "paused": "=", "frozen": "~", "down": "x"}
_MARKS: dict[MarkKind, str] = {"delivered": "d", "retry": "r", "refused": "-", "fault": "!", "heal": "h"}
_SIGNS = {"wait": "."} | _OUTAGES | _MARKS
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_LETTERS = 24      # of a name
_LEAST_WIDTH = 60       # of the legend
_MOST_NAMED = 26


def as_text(timeline: Timeline, width: int = 80) -> str:
    """Draw a line for each instance: a letter while a job runs, ``.`` while jobs only wait, and signs for outages.

    A second line has the marks.  Control characters in names are replaced.

    :param width: of the time axis, in characters.
    """
    return "\n".join(_Text(timeline, max(2, width)).lines())


@dataclass
class _Text:
    """The drawing of one picture.

    :ivar signs: those drawn so far, for the legend.
    """

    timeline: Timeline
    width: int
    signs: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.letters = {name: _LETTERS[index % 26] for index, name in enumerate(self.timeline.tracker.jobs)}
        names = [readable(name, _MOST_LETTERS) for name in self.timeline.lanes]
        self.gutter = max(map(extent, names), default=0)
        self.end_ms = self.timeline.end_ms

    def lines(self) -> Iterator[str]:
        begin, end = as_duration(self.timeline.from_ms), as_duration(self.end_ms)
        yield self._line("", f"{begin} {end.rjust(self.width - len(begin) - 1)}")
        for lane in self.timeline.lanes.values():
            yield self._line(readable(lane.name, _MOST_LETTERS), self._bars(lane))
            if lane.marks:
                yield self._line("", self._marks(lane.marks))
        if self.timeline.marks:
            yield self._line("", self._marks(self.timeline.marks))
        yield from self._lines([f"{sign} {MEANINGS[kind]}" for kind, sign in _SIGNS.items() if sign in self.signs])
        yield from self._lines(list(self._job_names()))
        if said := self.timeline.forgotten_says:
            yield self._line("", said)

    def _line(self, name: str, rest: str) -> str:
        return f"{name}{' ' * (self.gutter - extent(name))} {rest}".rstrip()

    def _lines(self, words: list[str]) -> Iterator[str]:
        """Yield lines with as many of the entries as fit."""
        while words:
            count = 1
            while count < len(words) and extent("  ".join(words[: count + 1])) <= max(_LEAST_WIDTH, self.width):
                count += 1
            yield self._line("", "  ".join(words[:count]))
            del words[:count]

    def _job_names(self) -> Iterator[str]:
        for name, letter in islice(self.letters.items(), _MOST_NAMED):
            yield f"{letter} {readable(name, _MOST_LETTERS)}"
        if len(self.letters) > _MOST_NAMED:
            yield f"and {len(self.letters) - _MOST_NAMED} more, by the same letters"

    def _bars(self, lane: Lane) -> str:
        line = [" "] * self.width
        for span in lane.spans:
            for wait in span.waits(self.end_ms):
                self._put(line, wait, ".")
        for span in lane.spans:
            for run in span.runs(self.end_ms):
                self._put(line, run, self.letters.get(span.attempt.job, "?"))
        outages = lane.all_outages(self.end_ms)
        for kind, letter in _OUTAGES.items():
            for outage in outages:
                if outage.kind == kind:
                    self._put(line, outage.interval(self.end_ms), letter)
        self.signs |= set(line) & {".", *_OUTAGES.values()}
        return "".join(line)

    def _put(self, line: list[str], interval: tuple[int, int], letter: str) -> None:
        """Write a letter over a time interval, at least once."""
        first, last = self._column(interval[0]), self._column(interval[1], up=True)
        for cell in range(first, max(first + 1, last)):
            line[cell] = letter

    def _column(self, at_ms: int, *, up: bool = False) -> int:
        """Return the column of a time; ``up``: rounded up."""
        whole_ms = max(1, self.end_ms - self.timeline.from_ms)
        past = (at_ms - self.timeline.from_ms) * self.width
        return max(0, min(self.width if up else self.width - 1, -(-past // whole_ms) if up else past // whole_ms))

    def _marks(self, marks: Iterable[Mark]) -> str:
        line = [" "] * self.width
        for mark in sorted(marks, key=lambda mark: tuple(_MARKS).index(mark.kind)):
            line[self._column(mark.at_ms)] = _MARKS[mark.kind]
        self.signs |= set(line) - {" "}
        return "".join(line)
