"""A run in plain text, for the report of a failed test."""

from __future__ import annotations

from collections.abc import Iterator

from .lanes import Lane, Timeline
from .scale import written

__all__ = ["as_text"]

_OUTAGES = {"down": "x", "frozen": "~", "paused": "="}
_MARKS = {"fault": "!", "retry": "r", "refused": "-", "delivered": "d"}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_NAMED = 26


def as_text(timeline: Timeline, width: int = 80) -> str:
    """A line for each instance: a letter where a job runs, ``.`` where jobs only wait, and signs for what went wrong.

    :param width: of the time axis, in characters.
    """
    return "\n".join(_lines(timeline, width))


def _lines(timeline: Timeline, width: int) -> Iterator[str]:
    letters = {name: _LETTERS[index % len(_LETTERS)] for index, name in enumerate(timeline.attempts.jobs)}
    gutter = max((len(name) for name in timeline.lanes), default=0)
    end = written(timeline.end_ms)
    yield f"{'':{gutter}} 0{end:>{width - 1}}"
    for lane in timeline.lanes.values():
        yield f"{lane.name:{gutter}} {_lane(timeline, lane, width, letters)}".rstrip()
        if lane.marks:
            yield f"{'':{gutter}} {_marks(timeline, lane, width)}".rstrip()
    yield f"{'':{gutter}} . waits  x down  ~ frozen  = paused  ! fault  r retry  - refused  d delivered"
    named = [f"{letter} {name}" for name, letter in list(letters.items())[:_MOST_NAMED]]
    more = len(letters) - len(named)
    if named:
        yield f"{'':{gutter}} {', '.join(named)}" + (f" and {more} more, by the same letters" if more else "")


def _cells(timeline: Timeline, from_ms: int, to_ms: int | None, width: int) -> range:
    """The characters that a stretch of time covers: at least one."""
    whole_ms = max(1, timeline.end_ms)
    first = min(width - 1, from_ms * width // whole_ms)
    last = width if to_ms is None else min(width, -(-to_ms * width // whole_ms))
    return range(first, max(first + 1, last))


def _lane(timeline: Timeline, lane: Lane, width: int, letters: dict[str, str]) -> str:
    line = [" "] * width
    for stay in lane.stays:
        attempt = stay.attempt
        gone_ms = attempt.ended_ms if attempt.taken_ms is None else attempt.taken_ms
        for cell in _cells(timeline, attempt.sent_ms, gone_ms, width):
            line[cell] = "." if line[cell] == " " else line[cell]
    for stay in lane.stays:
        attempt = stay.attempt
        if attempt.taken_ms is not None:
            for cell in _cells(timeline, attempt.taken_ms, attempt.ended_ms, width):
                line[cell] = letters[attempt.job]
    for outage in lane.all_outages():
        for cell in _cells(timeline, outage.from_ms, outage.to_ms, width):
            line[cell] = _OUTAGES[outage.kind]
    return "".join(line)


def _marks(timeline: Timeline, lane: Lane, width: int) -> str:
    line = [" "] * width
    for mark in sorted(lane.marks, key=lambda each: each.kind != "fault", reverse=True):   # a fault lies on top
        line[_cells(timeline, mark.at_ms, mark.at_ms, width)[0]] = _MARKS[mark.kind]
    return "".join(line)
