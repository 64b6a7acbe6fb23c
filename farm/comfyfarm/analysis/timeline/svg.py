"""A timeline as an SVG picture."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.timeline.lane import AttemptSpan, Interval, Lane, Mark, Outage
from comfyfarm.analysis.timeline.markup import clipped, extent, tag, text
from comfyfarm.analysis.timeline.scale import Scale, as_duration, depths, rows
from comfyfarm.analysis.timeline.svg_symbols import LETTER, PATTERNS, STYLE, Sign, colour, legend, sign
from comfyfarm.analysis.timeline.timeline import Timeline

_HIGH, _MEDIUM, _LOW = 60, 36, 20       # heights of a lane, in pixels
_MARGIN, _TOP, _FOOT = 24, 34, 14
_MOST_LETTERS = 24      # of an instance's name
_LEAST_LETTERS = 6      # of a job's name: fewer mean nothing
_MANY_LANES = 16        # with more, the axis is repeated at the foot
_ROOM_FOR_A_NAME = 14   # the least height of a bar with a name
_ENDS = {
    "success": "done",
    "error": "failed",
    "interrupted": "stopped",
    "lost": "lost with its process",
    "deleted": "taken out of the queue",
    "forgotten": "forgotten in a reset",
    "internal": "ended by an error of comfyfarm's own",
}


def draw(timeline: Timeline, width: int = 1200) -> str:
    """Draw a timeline as one SVG element with its own legend, and a style for light and dark screens.

    The ``data-job`` of a bar is the index of its logical job.

    :param width: in pixels; the height depends on the number of lanes.
    """
    drawing = _Drawing(timeline, width)
    inside = "".join(drawing.parts())
    size = f'width="{width}" height="{drawing.height:.0f}" viewBox="0 0 {width} {drawing.height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" aria-label="Timeline" {size}>'
    return f"{head}<style>{STYLE}</style>{PATTERNS}{inside}</svg>"


@dataclass
class _Drawing:
    """The drawing of one picture.

    :ivar height: valid after the parts are drawn.
    :ivar signs: those drawn so far, for the legend.
    """

    timeline: Timeline
    width: int
    height: float = 0
    signs: set[Sign] = field(default_factory=set)

    def __post_init__(self) -> None:
        timeline = self.timeline
        lanes = timeline.lanes.values()
        longest = max((extent(clipped(lane.name, _MOST_LETTERS)) for lane in lanes), default=0)
        self.gutter = max(56.0, longest * LETTER + 24)
        self.end_ms = timeline.end_ms
        self.scale = Scale(timeline.from_ms, self.end_ms, self.gutter, self.width - self.gutter - _MARGIN)
        self.pitch = _HIGH if len(lanes) <= 8 else _MEDIUM if len(lanes) <= 24 else _LOW
        self.size = {_HIGH: 1.0, _MEDIUM: 0.85, _LOW: 0.65}[self.pitch]
        self.bar, self.pad = self.pitch * 0.42, min(4.0, self.pitch * 0.1)
        self.foot = _TOP + self.pitch * max(1, len(lanes))
        self._index = {name: index for index, name in enumerate(timeline.tracker.jobs)}

    def parts(self) -> Iterator[str]:
        lanes = self.timeline.lanes
        for index in range(0, len(lanes), 2):
            yield tag("rect", class_="band", x=0, y=_TOP + index * self.pitch, width=self.width, height=self.pitch)
        yield from self._axis()
        for index, lane in enumerate(lanes.values()):
            yield from self._lane(lane, _TOP + index * self.pitch)
        if not lanes:
            yield text(self.width / 2, _TOP + self.pitch / 2, "Nothing happened.", kind="faint", anchor="middle")
        for mark in self.timeline.marks:
            yield self._farm_mark(mark)
        below = self.foot + _FOOT + (18 if len(lanes) > _MANY_LANES else 0)
        meanings, height = legend(self.signs, 10, below, self.width - 20)
        yield from meanings
        self.height = below + height + 6
        if said := self.timeline.forgotten_says:
            yield text(10, self.height + 8, said, kind="faint")
            self.height += 16

    def _axis(self) -> Iterator[str]:
        for at_ms in self.scale.ticks():
            x = self.scale.x(at_ms)
            yield tag("line", class_="rule", x1=x, x2=x, y1=_TOP - 6, y2=self.foot)
            yield text(x, _TOP - 12, as_duration(at_ms), kind="faint", anchor="middle")
            if len(self.timeline.lanes) > _MANY_LANES:
                yield text(x, self.foot + 16, as_duration(at_ms), kind="faint", anchor="middle")

    def _farm_mark(self, mark: Mark) -> str:
        self.signs.add(mark.kind)
        x = self.scale.x(mark.at_ms)
        if mark.kind != "heal":
            return sign(mark, x, _TOP - 8, _TOP, self.size)
        return tag("line", f"healed at {as_duration(mark.at_ms)}", class_="heal", x1=x, x2=x, y1=_TOP - 6, y2=self.foot)

    def _lane(self, lane: Lane, top: float) -> Iterator[str]:
        for outage in lane.all_outages(self.end_ms):
            yield self._outage(outage, top)
        name = clipped(lane.name, _MOST_LETTERS)
        yield text(self.gutter - 12, top + self.pad + self.bar / 2 + 4, name, anchor="end", title=lane.name)
        yield from self._waiting(lane, top + self.bar + 1.5 * self.pad)
        for span in lane.spans:
            for run in span.runs(self.end_ms):
                yield from self._run(span, run, top + self.pad)
        for mark in lane.marks:
            if mark.kind == "delivered" and self.pitch == _LOW:
                continue        # Nearly every job has one, and low lanes have no room for them.
            self.signs.add(mark.kind)
            yield sign(mark, self.scale.x(mark.at_ms), top + self.pad, top + self.pad + self.bar, self.size)

    def _outage(self, outage: Outage, top: float) -> str:
        self.signs.add(outage.kind)
        end = "on" if outage.to_ms is None else f"to {as_duration(outage.to_ms)}"
        strip = 3 if outage.kind == "draining" else self.pitch
        x, width = self._extent(*outage.interval(self.end_ms), 1.0)
        title, y = f"{outage.kind} from {as_duration(outage.from_ms)} {end}", top + self.pitch - strip
        return tag("rect", title, class_=outage.kind, x=x, width=width, y=y, height=strip)

    def _extent(self, from_ms: int, to_ms: int, least: float) -> tuple[float, float]:
        """Return the position and the width of an interval, the latter at least ``least``."""
        x = self.scale.x(from_ms)
        return x, max(least, self.scale.x(to_ms) - x)

    # Jobs.

    def _waiting(self, lane: Lane, top: float) -> Iterator[str]:
        """Draw the queue: a thin bar for each waiting job, or only their number if there is no room."""
        room = self.pitch - self.bar - 2.5 * self.pad
        waits = [(wait, span) for span in lane.spans for wait in span.waits(self.end_ms)]
        waits.sort(key=lambda item: item[0].from_ms)
        assigned = rows(wait for wait, _ in waits)
        count = max(assigned, default=0) + 1
        if count > room / 1.5:
            yield self._depth([wait for wait, _ in waits], top, room)
            return
        thick = min(5.0, room / count)
        for (wait, span), row in zip(waits, assigned, strict=True):
            yield self._bar(span, wait, (top + row * thick, max(1.0, thick - 1)), "wait")

    def _depth(self, waits: list[Interval], top: float, room: float) -> str:
        self.signs.add("depth")
        steps = depths(waits)
        deepest = max(depth for _, depth in steps)
        path = [f"M{self.scale.x(steps[0][0]):.1f} {top + room:.1f}"]
        for at_ms, depth in steps:
            path.append(f"H{self.scale.x(at_ms):.1f}V{top + room * (1 - depth / deepest):.1f}")
        return tag("path", f"up to {deepest} jobs waiting", class_="depth", d="".join(path) + f"V{top + room:.1f}Z")

    def _run(self, span: AttemptSpan, run: Interval, top: float) -> Iterator[str]:
        attempt = span.attempt
        is_last = run.from_ms == attempt.taken_ms
        failed = is_last and attempt.end in ("error", "interrupted", "internal")
        if failed:
            self.signs.add("error")
        yield self._bar(span, run, (top, self.bar), "run error" if failed else "run")
        for part in span.parts:
            if run.from_ms <= part.from_ms < run.to_ms:
                self.signs.add(part.kind)
                x, width = self._extent(part.from_ms, part.to_ms, 0.5)
                yield tag("rect", class_=part.kind, x=x, y=top, width=width, height=self.bar, pointer_events="none")
        x, width = self._extent(run.from_ms, run.to_ms, 0)
        letters = int((width - 8) / LETTER)
        if self.bar > _ROOM_FOR_A_NAME and (extent(attempt.job) <= letters or letters >= _LEAST_LETTERS):
            yield text(x + 5, top + self.bar / 2 + 4, clipped(attempt.job, letters), kind="name")
        if not is_last or attempt.end == "lost":
            self.signs.add("cut")
            yield tag("line", class_="cut", x1=x + width, x2=x + width, y1=top - 3, y2=top + self.bar + 3)

    def _bar(self, span: AttemptSpan, interval: Interval, across: tuple[float, float], kind: str) -> str:
        self.signs.add(kind.partition(" ")[0])
        x, width = self._extent(*interval, 0.8)
        y, height = across
        index = self._index.get(span.attempt.job, 0)
        place = {"x": x, "y": y, "width": width, "height": height, "rx": 1.5}
        title = _tooltip(span, interval, waits=kind == "wait")
        return tag("rect", title, class_=kind, **place, fill=colour(index), data_job=index)


def _tooltip(span: AttemptSpan, interval: Interval, *, waits: bool) -> str:
    attempt, (from_ms, to_ms) = span.attempt, interval
    again = f", attempt {attempt.number}" if attempt.number > 1 else ""
    who = f"{clipped(attempt.job, 60)}{again} on {clipped(attempt.instance, 60)}"
    what = f"{'waited' if waits else 'ran'} {as_duration(to_ms - from_ms)} from {as_duration(from_ms)}"
    return f"{who}: {what}{_ending(span, interval, waits=waits)}"


def _ending(span: AttemptSpan, interval: Interval, *, waits: bool) -> str:
    """Describe how an interval ended; nothing for a wait that ended with a run."""
    attempt = span.attempt
    if waits and (attempt.taken_ms is not None or any(run.from_ms == interval.to_ms for run in span.broken_runs)):
        return ""
    if interval in span.broken_runs:
        return "; its process died, and it waited again"
    return f"; {_ENDS.get(attempt.end or '', 'still waits' if waits else 'still runs')}"
