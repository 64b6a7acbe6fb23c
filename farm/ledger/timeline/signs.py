"""The signs of a drawn timeline, and what they mean."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from .markup import extent, tag, text
from .scale import written
from .stays import Mark

__all__ = ["LETTER", "Sign", "legend", "sign"]

Sign = str
"""A class of :data:`~farm.ledger.timeline.look.STYLE`."""

LETTER = 6.2
"""About how wide a letter is, in pixels."""

_MEANS: dict[Sign, str] = {
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


def sign(mark: Mark, x: float, top: float, foot: float, size: float) -> str:
    """A mark on a bar.

    :param top: the upper edge of the bar; ``foot``: the lower one.
    :param size: 1 where there is room.
    """
    return _shape(mark.kind, x, top if mark.kind in _AT_THE_TOP else foot, size, f"{written(mark.at_ms)}: {mark.says}")


def _shape(kind: Sign, x: float, y: float, size: float, says: str = "") -> str:
    if kind == "retry":
        return tag("circle", says, class_=kind, cx=x, cy=y, r=3.6 * size)
    if kind == "refused":
        return tag("rect", says, class_=kind, x=x - 3.5 * size, y=y, width=7 * size, height=7 * size)
    steps = _STEPS[kind]
    path = " ".join(f"{size * dx:.1f} {size * dy:.1f}" for dx, dy in steps)
    return tag("path", says, class_=kind, transform=f"translate({x:.1f} {y:.1f})", d=f"m{path}")


def legend(signs: Collection[Sign], left: float, top: float, width: float) -> tuple[list[str], float]:
    """What these signs mean, and how high that is."""
    parts: list[str] = []
    x, y = left, top
    for each, words in _MEANS.items():
        if each not in signs:
            continue
        span = _SWATCH + extent(words) * LETTER
        if x > left and x + span > left + width:
            x, y = left, y + _ROW
        parts += [*_swatch(each, x, y), text(x + _SWATCH, y + 14, words, kind="faint")]
        x += span + _APART
    return parts, y - top + _ROW


def _swatch(kind: Sign, x: float, y: float) -> Iterator[str]:
    """A small one of its kind."""
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
