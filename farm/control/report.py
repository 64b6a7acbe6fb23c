"""A run, shown: as values, as a picture, as one page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from farm.control import endpoints
from farm.control.endpoints import HTML, JSON, SVG, TEXT
from farm.control.routing import Raw, route
from farm.control.truth_bodies import TimelineFormat, TimelineQuery
from farm.ledger.lines import as_json
from farm.ledger.timeline.drawing import draw
from farm.ledger.timeline.lanes import Timeline
from farm.ledger.timeline.text import as_text
from farm.ledger.timeline.trace import as_trace
from farm.ledger.timeline.values import as_values
from farm.report.page import Run, page

if TYPE_CHECKING:
    from farm.service import Farm

__all__: list[str] = []

_WRITTEN: dict[TimelineFormat, Callable[[Timeline], Raw]] = {
    "json": lambda timeline: Raw(as_json(as_values(timeline)), JSON),
    "svg": lambda timeline: Raw(draw(timeline).encode(), SVG),
    "trace": lambda timeline: Raw(msgspec.json.encode(as_trace(timeline)), JSON),
    "text": lambda timeline: Raw(as_text(timeline).encode(), TEXT),
}


@route(endpoints.GET_TIMELINE)
def get_timeline(farm: Farm, query: TimelineQuery) -> Raw:
    """Tell what each instance did when: its jobs, its outages, and what befell it.

    As values, as a drawn picture (``format=svg``), for Perfetto and chrome://tracing (``trace``), or for a terminal
    (``text``).
    """
    return _WRITTEN[query.format](farm.truth.whole().timeline())


@route(endpoints.GET_REPORT)
def get_report(farm: Farm) -> Raw:
    """Give the verdict, the timeline, the placement and the faults as one page, which needs nothing from elsewhere."""
    return Raw(page(Run.of(farm.truth.whole())).encode(), HTML)
