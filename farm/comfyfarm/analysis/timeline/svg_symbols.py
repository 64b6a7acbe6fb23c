"""The look of a drawn timeline: light and dark style, colours of jobs, signs and their legend."""

from collections.abc import Collection, Iterator
from typing import Any

from comfyfarm.analysis.timeline.lane import Mark
from comfyfarm.analysis.timeline.markup import extent, tag, text
from comfyfarm.analysis.timeline.scale import as_duration

STYLE = """
.timeline{font:12px system-ui,sans-serif;color-scheme:light dark;--ink:#1f2933;--faint:#616e7c;--rule:#dfe3e8;
--paper:#fff;--band:#f5f7f9;--bad:#d0342c;--good:#1d7f4c;--down:#bcc5ce;--ice:#9bd0f0;--warm:#f0bd73;--load:.4;
background:var(--paper)}
@media(prefers-color-scheme:dark){.timeline{--ink:#e4e7eb;--faint:#9aa5b1;--rule:#3b4854;--paper:#1f2933;
--band:#252f39;--bad:#ff7b72;--good:#56d08c;--down:#55636f;--ice:#2f6f96;--warm:#8a6a35;--load:.32}}
.timeline text{fill:var(--ink)}.timeline .faint{fill:var(--faint)}.timeline .rule{stroke:var(--rule)}
.timeline .band{fill:var(--band)}.timeline .depth{fill:var(--faint);opacity:.45}.timeline .wait{opacity:.65}
.timeline .name{fill:#fff;font-size:11px;pointer-events:none;paint-order:stroke;stroke:#0007;stroke-width:2px}
.timeline .error{stroke:var(--bad);stroke-width:2}.timeline .cut{stroke:var(--bad);stroke-width:2.5}
.timeline .loading{fill:#000;opacity:var(--load)}.timeline .saving{fill:#fff;opacity:.55}
.timeline .down{fill:url(#down)}.timeline .frozen{fill:url(#frozen)}.timeline .refusing{fill:url(#refusing)}
.timeline .paused{fill:var(--down);opacity:.4}.timeline .draining{fill:var(--warm)}
.timeline .fault{fill:var(--bad);stroke:var(--paper);stroke-width:1}
.timeline .retry{fill:var(--paper);stroke:var(--ink);stroke-width:1.5}
.timeline .refused{fill:var(--paper);stroke:var(--bad);stroke-width:1.5}
.timeline .delivered{fill:none;stroke:var(--good);stroke-width:2}
.timeline .heal{stroke:var(--good);stroke-width:1.5;stroke-dasharray:4 3}.timeline .well{fill:var(--good)}
"""

_PATTERN = (
    '<pattern id="{0}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate({1})">'
    '<rect width="6" height="6" style="fill:var(--band)"/><rect width="2.5" height="6" style="fill:var({2})"/>'
    "</pattern>"
)
PATTERNS = "<defs>{}</defs>".format(
    "".join(
        _PATTERN.format(kind, turned, ink)
        for kind, turned, ink in (("down", 45, "--down"), ("frozen", 45, "--ice"), ("refusing", -45, "--warm"))
    )
)

# OKLCH hues from green to pink (red means failure), a golden angle apart so that successive jobs differ, in three
# lightnesses that are dark enough for white letters.  21 is a Fibonacci number, so that the last colours also differ
# from the first ones.
_COLOURS = (
    *("#7e8814", "#2f5ba6", "#008664", "#9e66b4", "#006a95", "#497f2b", "#7475cb"),
    *("#007370", "#9d4d8a", "#3385c9", "#00723f", "#7e59ac", "#0093ae", "#506800"),
    *("#4f69ba", "#009881", "#804087", "#0079ae", "#49944b", "#5e4da1", "#00848c"),
)

Sign = str
"""A class of :data:`STYLE`."""

LETTER = 6.2
"""The approximate width of a letter, in pixels."""

MEANINGS: dict[Sign, str] = {
    "run": "runs, in the colour of its logical job",
    "loading": "loads a model",
    "saving": "saves",
    "error": "failed or was stopped",
    "cut": "its process died",
    "wait": "waits",
    "depth": "how many wait",
    "down": "down",
    "frozen": "frozen",
    "paused": "paused",
    "refusing": "takes no connection",
    "draining": "draining",
    "fault": "fault",
    "retry": "sent again",
    "refused": "refused",
    "delivered": "delivered",
    "heal": "healed",
}
_STEPS = {"fault": ((-6, -5), (12, 0), (-6, 11), (-6, -11)), "delivered": ((-4, 4), (3, 3), (5, -7))}
_BARS = {"run", "loading", "saving", "error", "cut"}
_AT_THE_TOP = {"fault", "refused"}
_SWATCH, _ROW, _APART = 20, 20, 18
_FILL = "#3f79b5"


def colour(index: int) -> str:
    """Return the colour of the n-th logical job, as ``#rrggbb``; they repeat after 21 jobs."""
    return _COLOURS[index % len(_COLOURS)]


def sign(mark: Mark, x: float, top: float, foot: float, size: float) -> str:
    """Draw a mark on a bar.

    :param top: the upper edge of the bar; ``foot``: the lower one.
    :param size: a factor.
    """
    y = top if mark.kind in _AT_THE_TOP else foot
    return _shape(mark.kind, x, y, size, f"{as_duration(mark.at_ms)}: {mark.says}")


def _shape(kind: Sign, x: float, y: float, size: float, title: str = "") -> str:
    if kind == "retry":
        return tag("circle", title, class_=kind, cx=x, cy=y, r=3.6 * size)
    if kind == "refused":
        return tag("rect", title, class_=kind, x=x - 3.5 * size, y=y, width=7 * size, height=7 * size)
    steps = _STEPS[kind]
    path = " ".join(f"{size * dx:.1f} {size * dy:.1f}" for dx, dy in steps)
    return tag("path", title, class_=kind, transform=f"translate({x:.1f} {y:.1f})", d=f"m{path}")


def legend(signs: Collection[Sign], left: float, top: float, width: float) -> tuple[list[str], float]:
    """Return the elements of the legend for these signs, and its height in pixels."""
    parts: list[str] = []
    x, y = left, top
    for kind, words in MEANINGS.items():
        if kind not in signs:
            continue
        span = _SWATCH + extent(words) * LETTER
        if x > left and x + span > left + width:
            x, y = left, y + _ROW
        parts += [*_swatch(kind, x, y), text(x + _SWATCH, y + 14, words, kind="faint")]
        x += span + _APART
    return parts, y - top + _ROW


def _swatch(kind: Sign, x: float, y: float) -> Iterator[str]:
    box: dict[str, Any] = {"x": x, "y": y + 5, "width": 14, "height": 10}
    if kind in _BARS:
        yield tag("rect", class_="error" if kind == "error" else None, **box, rx=1.5, fill=_FILL)
    if kind in {"loading", "saving", "depth", "down", "frozen", "paused", "refusing"}:
        yield tag("rect", class_=kind, **box)
    elif kind == "cut":
        yield tag("line", class_=kind, x1=x + 14, x2=x + 14, y1=y + 2, y2=y + 18)
    elif kind == "heal":
        yield tag("line", class_=kind, x1=x + 7, x2=x + 7, y1=y + 2, y2=y + 18)
    elif kind == "wait":
        yield tag("rect", class_=kind, x=x, y=y + 8, width=14, height=4, fill=_FILL)
    elif kind == "draining":
        yield tag("rect", class_=kind, x=x, y=y + 8.5, width=14, height=3)
    elif kind not in _BARS:
        yield _shape(kind, x + 7, y + {"fault": 9, "refused": 6.5, "retry": 10, "delivered": 7}[kind], 0.9)
