"""A run as a picture: SVG, drawn by us."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.timeline.lane import AttemptSpan, Lane, Mark, Outage, Stretch
from comfyfarm.analysis.timeline.markup import clipped, extent, tag, text
from comfyfarm.analysis.timeline.scale import Scale, as_duration, depths, rows
from comfyfarm.analysis.timeline.svg_symbols import LETTER, PATTERNS, STYLE, Sign, colour, legend, sign
from comfyfarm.analysis.timeline.timeline import Timeline

_WIDE, _MIDDLE, _NARROW = 60, 36, 20        # how high a lane is, in pixels
_MARGIN, _TOP, _FOOT = 24, 34, 14
_MOST_LETTERS = 24      # of an instance's name
_LEAST_LETTERS = 6      # of a job's name: less would say nothing
_MANY_LANES = 16        # so many, and moments stand at the foot, too
_ROOM_FOR_A_NAME = 14   # as high as a bar must be
_ENDS = {
    "success": "done",
    "error": "failed",
    "interrupted": "stopped",
    "lost": "lost with its process",
    "deleted": "taken out of the queue",
    "forgotten": "forgotten in a reset",
}


def draw(timeline: Timeline, width: int = 1200) -> str:
    """The whole run as one SVG element, which brings its own style and legend, and looks well by light and by dark.

    A bar says in ``data-job`` which logical job it is about, as a number.

    :param width: in pixels; the height follows from the number of lanes.
    """
    drawing = _Drawing(timeline, width)
    inside = "".join(drawing.parts())
    size = f'width="{width}" height="{drawing.height:.0f}" viewBox="0 0 {width} {drawing.height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" aria-label="Timeline" {size}>'
    return f"{head}<style>{STYLE}</style>{PATTERNS}{inside}</svg>"


@dataclass
class _Drawing:
    """One picture.

    :ivar height: known once the parts are drawn.
    :ivar signs: what has been drawn, for the legend.
    """

    timeline: Timeline
    width: int
    height: float = 0
    signs: set[Sign] = field(default_factory=set)

    def __post_init__(self) -> None:
        line = self.timeline
        lanes = line.lanes.values()
        longest = max((extent(clipped(lane.name, _MOST_LETTERS)) for lane in lanes), default=0)
        self.gutter = max(56.0, longest * LETTER + 24)
        self.end_ms = line.end_ms
        self.scale = Scale(line.from_ms, self.end_ms, self.gutter, self.width - self.gutter - _MARGIN)
        self.pitch = _WIDE if len(lanes) <= 8 else _MIDDLE if len(lanes) <= 24 else _NARROW
        self.size = {_WIDE: 1.0, _MIDDLE: 0.85, _NARROW: 0.65}[self.pitch]
        self.bar, self.pad = self.pitch * 0.42, min(4.0, self.pitch * 0.1)
        self.foot = _TOP + self.pitch * max(1, len(lanes))
        self._index = {name: index for index, name in enumerate(line.attempts.jobs)}

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
        yield text(self.gutter - 12, top + self.pad + self.bar / 2 + 4, name, anchor="end", says=lane.name)
        yield from self._waiting(lane, top + self.bar + 1.5 * self.pad)
        for stay in lane.stays:
            for run in stay.runs(self.end_ms):
                yield from self._run(stay, run, top + self.pad)
        for mark in lane.marks:
            if mark.kind == "delivered" and self.pitch == _NARROW:
                continue        # there is one for nearly every job, and hardly room for the jobs
            self.signs.add(mark.kind)
            yield sign(mark, self.scale.x(mark.at_ms), top + self.pad, top + self.pad + self.bar, self.size)

    def _outage(self, outage: Outage, top: float) -> str:
        self.signs.add(outage.kind)
        to_ms = self.end_ms if outage.to_ms is None else outage.to_ms
        lasts = f"from {as_duration(outage.from_ms)} " + ("on" if outage.to_ms is None else f"to {as_duration(to_ms)}")
        strip = 3 if outage.kind == "draining" else self.pitch
        x, span = self._span(outage.from_ms, to_ms, 1.0)
        says, where = f"{outage.kind} {lasts}", {"y": top + self.pitch - strip, "height": strip}
        return tag("rect", says, class_=outage.kind, x=x, width=span, **where)

    def _span(self, from_ms: int, to_ms: int, least: float) -> tuple[float, float]:
        """Where a stretch stands, and how wide it is: something is always seen of it."""
        x = self.scale.x(from_ms)
        return x, max(least, self.scale.x(to_ms) - x)

    # Jobs.

    def _waiting(self, lane: Lane, top: float) -> Iterator[str]:
        """The queue: each job that waits as a thin bar, or only how many they are where there is no room."""
        room = self.pitch - self.bar - 2.5 * self.pad
        waits = [(wait, stay) for stay in lane.stays for wait in stay.waits(self.end_ms)]
        waits.sort(key=lambda each: each[0].from_ms)
        given = rows(wait for wait, _ in waits)
        count = max(given, default=0) + 1
        if count > room / 1.5:
            yield self._depth([wait for wait, _ in waits], top, room)
            return
        thick = min(5.0, room / count)
        for (wait, stay), row in zip(waits, given, strict=True):
            yield self._bar(stay, wait, (top + row * thick, max(1.0, thick - 1)), "wait")

    def _depth(self, waits: list[Stretch], top: float, room: float) -> str:
        self.signs.add("depth")
        steps = depths(waits)
        deepest = max(depth for _, depth in steps)
        path = [f"M{self.scale.x(steps[0][0]):.1f} {top + room:.1f}"]
        for at_ms, depth in steps:
            path.append(f"H{self.scale.x(at_ms):.1f}V{top + room * (1 - depth / deepest):.1f}")
        return tag("path", f"up to {deepest} jobs waiting", class_="depth", d="".join(path) + f"V{top + room:.1f}Z")

    def _run(self, stay: AttemptSpan, run: Stretch, top: float) -> Iterator[str]:
        attempt = stay.attempt
        is_last = run.from_ms == attempt.taken_ms
        failed = is_last and attempt.end in ("error", "interrupted")
        if failed:
            self.signs.add("error")
        yield self._bar(stay, run, (top, self.bar), "run error" if failed else "run")
        for part in stay.parts:
            if run.from_ms <= part.from_ms < run.to_ms:
                self.signs.add(part.kind)
                x, span = self._span(part.from_ms, part.to_ms, 0.5)
                yield tag("rect", class_=part.kind, x=x, y=top, width=span, height=self.bar, pointer_events="none")
        x, span = self._span(run.from_ms, run.to_ms, 0)
        letters = int((span - 8) / LETTER)
        if self.bar > _ROOM_FOR_A_NAME and (extent(attempt.job) <= letters or letters >= _LEAST_LETTERS):
            yield text(x + 5, top + self.bar / 2 + 4, clipped(attempt.job, letters), kind="name")
        if not is_last or attempt.end == "lost":
            self.signs.add("cut")
            yield tag("line", class_="cut", x1=x + span, x2=x + span, y1=top - 3, y2=top + self.bar + 3)

    def _bar(self, stay: AttemptSpan, stretch: Stretch, across: tuple[float, float], kind: str) -> str:
        self.signs.add(kind.partition(" ")[0])
        x, span = self._span(*stretch, 0.8)
        y, height = across
        index = self._index.get(stay.attempt.job, 0)
        place = {"x": x, "y": y, "width": span, "height": height, "rx": 1.5}
        says = _told(stay, stretch, waits=kind == "wait")
        return tag("rect", says, class_=kind, **place, fill=colour(index), data_job=index)


def _told(stay: AttemptSpan, stretch: Stretch, *, waits: bool) -> str:
    """What a bar stands for, in words."""
    attempt, (from_ms, to_ms) = stay.attempt, stretch
    again = f", attempt {attempt.number}" if attempt.number > 1 else ""
    who = f"{clipped(attempt.job, 60)}{again} on {clipped(attempt.instance, 60)}"
    what = f"{'waited' if waits else 'ran'} {as_duration(to_ms - from_ms)} from {as_duration(from_ms)}"
    return f"{who}: {what}{_ending(stay, stretch, waits=waits)}"


def _ending(stay: AttemptSpan, stretch: Stretch, *, waits: bool) -> str:
    """How a stretch ended; nothing where a job waited and was taken."""
    attempt = stay.attempt
    if waits and (attempt.taken_ms is not None or any(run.from_ms == stretch.to_ms for run in stay.broken)):
        return ""
    if stretch in stay.broken:
        return "; its process died, and it waited again"
    return f"; {_ENDS.get(attempt.end or '', 'still waits' if waits else 'still runs')}"
