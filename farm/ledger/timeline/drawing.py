"""A run as a picture: SVG, drawn by us."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from .lanes import Lane, Mark, Outage, Stay, Timeline
from .rows import depths, rows
from .scale import Scale, colour, written

__all__ = ["STYLE", "draw"]

STYLE = """
.timeline{font:12px system-ui,sans-serif;color-scheme:light dark;--ink:#1f2933;--faint:#9aa5b1;--rule:#e4e7eb;
--paper:#fff;--band:#f7f8fa;--bad:#d64545;--good:#2f8f5b;--down:#cbd2d9;--ice:#bcdff5;background:var(--paper)}
@media(prefers-color-scheme:dark){.timeline{--ink:#e4e7eb;--faint:#7b8794;--rule:#323f4b;--paper:#1f2933;--band:#27323d;
--bad:#ef6a6a;--good:#5cc28d;--down:#4a5864;--ice:#2c5a78}}
.timeline text{fill:var(--ink)}.timeline .faint{fill:var(--faint)}.timeline .rule{stroke:var(--rule)}
.timeline .band{fill:var(--band)}.timeline .depth{fill:var(--faint);opacity:.45}.timeline .wait{opacity:.5}
.timeline .name{fill:#fff;font-size:11px;pointer-events:none}.timeline .error{stroke:var(--bad);stroke-width:1.5}.timeline .cut{stroke:var(--bad);stroke-width:2.5}
.timeline .loading{fill:#000;opacity:.38}.timeline .saving{fill:#fff;opacity:.55}
.timeline .down{fill:url(#down)}.timeline .frozen{fill:url(#frozen)}.timeline .paused{fill:var(--down);opacity:.35}
.timeline .fault{fill:var(--bad)}.timeline .retry{fill:var(--paper);stroke:var(--ink);stroke-width:1.4}
.timeline .refused{fill:none;stroke:var(--bad);stroke-width:1.4}.timeline .delivered{fill:none;stroke:var(--good);
stroke-width:2}.timeline .heal{stroke:var(--good);stroke-width:1.5;stroke-dasharray:3 3}
"""

_LETTER = 7.5       # about the width of one, in pixels
_GUTTER, _MARGIN, _TOP, _FOOT = 120, 24, 34, 30
_PATTERNS = (
    '<defs><pattern id="down" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" style="fill:var(--band)"/><rect width="3" height="6" style="fill:var(--down)"/>'
    '</pattern><pattern id="frozen" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" style="fill:var(--band)"/><rect width="3" height="6" style="fill:var(--ice)"/>'
    "</pattern></defs>"
)
_ENDS = {
    "success": "done",
    "error": "failed",
    "interrupted": "interrupted",
    "lost": "lost with its process",
    "deleted": "taken out of the queue",
    "forgotten": "forgotten in a reset",
}


def draw(timeline: Timeline, width: int = 1200) -> str:
    """The whole run as one SVG element, whose look is :data:`STYLE`.

    :param width: in pixels; the height follows from the number of lanes.
    """
    return "".join(_Drawing(timeline, width).parts())


def _tag(name: str, says: str = "", **attributes: Any) -> str:
    """One element; ``says`` is shown where the mouse rests on it."""
    written_out = "".join(
        f' {key.replace("_", "-").rstrip("-")}="{escape(_number(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{written_out}><title>{escape(says)}</title></{name}>" if says else f"<{name}{written_out}/>"


def _number(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{_number(x)}" y="{_number(y)}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


@dataclass
class _Drawing:
    timeline: Timeline
    width: int
    scale: Scale = field(init=False)

    def __post_init__(self) -> None:
        self.scale = Scale(self.timeline.end_ms, _GUTTER, self.width - _GUTTER - _MARGIN)
        count = max(1, len(self.timeline.lanes))
        self.pitch = 60 if count <= 8 else 36 if count <= 24 else 20
        self.bar, self.pad = self.pitch * 0.42, min(4.0, self.pitch * 0.1)
        self.height = _TOP + self.pitch * count + _FOOT
        self._colours = {name: colour(index) for index, name in enumerate(self.timeline.attempts.jobs)}

    def parts(self) -> Iterator[str]:
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" {size}>'
        yield f"<style>{STYLE}</style>{_PATTERNS}"
        yield from self._axis()
        for index, lane in enumerate(self.timeline.lanes.values()):
            yield from self._lane(lane, _TOP + index * self.pitch, index)
        for mark in self.timeline.marks:
            if mark.kind == "heal":
                x = self.scale.x(mark.at_ms)
                says = f"healed at {written(mark.at_ms)}"
                yield _tag("line", says, class_="heal", x1=x, x2=x, y1=_TOP, y2=self.height - _FOOT)
        yield "</svg>"

    def _axis(self) -> Iterator[str]:
        foot = self.height - _FOOT
        for at_ms in self.scale.ticks():
            x = self.scale.x(at_ms)
            yield _tag("line", class_="rule", x1=x, x2=x, y1=_TOP - 6, y2=foot)
            yield _text(x, _TOP - 12, written(at_ms), kind="faint", anchor="middle")

    def _lane(self, lane: Lane, top: float, index: int) -> Iterator[str]:
        if index % 2 == 0:
            yield _tag("rect", class_="band", x=0, y=top, width=self.width, height=self.pitch)
        for outage in lane.all_outages():
            yield self._outage(outage, top)
        name = lane.name if len(lane.name) <= 16 else lane.name[:15] + "…"
        yield _text(_GUTTER - 10, top + self.pad + self.bar * 0.5 + 4, name, anchor="end")
        yield from self._waiting(lane, top + self.bar + 1.5 * self.pad)
        for stay in lane.stays:
            yield from self._run(stay, top + self.pad)
        for mark in lane.marks:
            yield self._mark(mark, top + self.pad)

    def _outage(self, outage: Outage, top: float) -> str:
        to_ms = self.timeline.end_ms if outage.to_ms is None else outage.to_ms
        lasts = f"from {written(outage.from_ms)} " + ("on" if outage.to_ms is None else f"to {written(to_ms)}")
        x = self.scale.x(outage.from_ms)
        span = max(1.0, self.scale.x(to_ms) - x)
        return _tag(
            "rect", f"{outage.kind} {lasts}", class_=outage.kind, x=x, y=top, width=span, height=self.pitch
        )

    # Jobs.

    def _waiting(self, lane: Lane, top: float) -> Iterator[str]:
        """The queue: each job that waits as a thin bar, or only how many they are where there is no room."""
        room = self.pitch - self.bar - 2.5 * self.pad
        stays = [stay for stay in lane.stays if self._until(stay) > stay.attempt.sent_ms]
        waits = [(stay.attempt.sent_ms, self._until(stay)) for stay in stays]
        given = rows(waits)
        count = max(given, default=0) + 1
        if count > room / 1.5:
            yield from self._depth(waits, top, room)
            return
        thick = min(5.0, room / count)
        for stay, (from_ms, to_ms), row in zip(stays, waits, given, strict=True):
            yield self._bar(stay, from_ms, to_ms, top + row * thick, max(1.0, thick - 1), "wait")

    def _depth(self, waits: list[tuple[int, int]], top: float, room: float) -> Iterator[str]:
        steps = depths(waits)
        deepest = max(depth for _, depth in steps)
        path, y = [f"M{self.scale.x(steps[0][0]):.1f} {top + room:.1f}"], top + room
        for at_ms, depth in steps:
            path.append(f"H{self.scale.x(at_ms):.1f}")
            y = top + room * (1 - depth / deepest)
            path.append(f"V{y:.1f}")
        yield _tag("path", f"up to {deepest} jobs waiting", class_="depth", d="".join(path) + f"V{top + room:.1f}Z")

    def _until(self, stay: Stay) -> int:
        """Until when a job waited."""
        attempt = stay.attempt
        ended_ms = self.timeline.end_ms if attempt.ended_ms is None else attempt.ended_ms
        return ended_ms if attempt.taken_ms is None else attempt.taken_ms

    def _run(self, stay: Stay, top: float) -> Iterator[str]:
        attempt = stay.attempt
        if attempt.taken_ms is None:
            return
        ended_ms = self.timeline.end_ms if attempt.ended_ms is None else attempt.ended_ms
        failed = " error" if attempt.end in ("error", "interrupted") else ""
        yield self._bar(stay, attempt.taken_ms, ended_ms, top, self.bar, f"run{failed}")
        for part in stay.parts:
            x = self.scale.x(part.from_ms)
            span = max(0.5, self.scale.x(part.to_ms) - x)
            yield _tag("rect", class_=part.kind, x=x, y=top, width=span, height=self.bar, pointer_events="none")
        room = (self.scale.x(ended_ms) - self.scale.x(attempt.taken_ms)) / _LETTER
        if self.bar > 14 and len(attempt.job) < room:
            yield _text(self.scale.x(attempt.taken_ms) + 5, top + self.bar / 2 + 4, attempt.job, kind="name")
        if attempt.end == "lost":
            x = self.scale.x(ended_ms)
            yield _tag("line", class_="cut", x1=x, x2=x, y1=top - 3, y2=top + self.bar + 3)

    def _bar(self, stay: Stay, from_ms: int, to_ms: int, top: float, height: float, kind: str) -> str:
        attempt, x = stay.attempt, self.scale.x(from_ms)
        return _tag(
            "rect",
            _told(stay, from_ms, to_ms, waits=kind == "wait"),
            class_=kind,
            x=x,
            y=top,
            width=max(0.8, self.scale.x(to_ms) - x),
            height=height,
            rx=1.5,
            fill=self._colours.get(attempt.job, "gray"),
            data_job=attempt.job,
        )

    # Signs.

    def _mark(self, mark: Mark, top: float) -> str:
        x, says = self.scale.x(mark.at_ms), f"{written(mark.at_ms)}: {mark.says}"
        if mark.kind == "fault":
            return _tag("path", says, class_="fault", d=f"M{x - 5:.1f} {top - 4:.1f}h10l-5 9z")
        if mark.kind == "retry":
            return _tag("circle", says, class_="retry", cx=x, cy=top + self.bar, r=3.2)
        if mark.kind == "refused":
            return _tag("rect", says, class_="refused", x=x - 3, y=top + 1, width=6, height=6)
        return _tag("path", says, class_="delivered", d=f"M{x - 4:.1f} {top + self.bar - 3}l3 3 5 -7")


def _told(stay: Stay, from_ms: int, to_ms: int, *, waits: bool) -> str:
    """What a bar stands for, in words."""
    attempt = stay.attempt
    what = "waited" if waits else "ran"
    again = f", attempt {attempt.number}" if attempt.number > 1 else ""
    end = "" if waits else f"; {_ENDS.get(attempt.end or '', 'still running')}"
    return f"{attempt.job}{again} on {attempt.instance}: {what} {written(to_ms - from_ms)} from {written(from_ms)}{end}"
