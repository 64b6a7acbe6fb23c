"""A run, shown: as values, as a picture, as one page."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from comfyfarm.analysis.report.page import RunReport, page
from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.analysis.timeline.values import as_values
from comfyfarm.control.routing import Raw, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.analysis import TimelineFormat, TimelineQuery
from comfyfarm.control.schema.endpoints import HTML, JSON, SVG, TEXT
from comfyfarm.events.encoding import as_json
from comfyfarm.server.farm import Farm

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
    return _WRITTEN[query.format](farm.analysis.log_analysis().timeline())


@route(endpoints.GET_REPORT)
def get_report(farm: Farm) -> Raw:
    """Give the verdict, the timeline, the placement and the faults as one page, which needs nothing from elsewhere."""
    return Raw(page(RunReport.of(farm.analysis.log_analysis())).encode(), HTML)
