"""What can be asked of a farm about the system under test, as values: for clients that wait and that await."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from farm.control.bodies import InstanceState
from farm.control.truth_bodies import DeliveredState, JournalState, TimelineFormat
from farm.control_calls import LONG_S, Call, with_query
from farm.ledger.findings import Bounds
from farm.ledger.placement.placed import Placement, Terms
from farm.ledger.reading import read_events
from farm.ledger.terms import as_table
from farm.ledger.timeline.values import RunTimeline
from farm.ledger.verdict import Verdict
from farm.sim.events import Event

__all__ = [
    "delivered",
    "drain",
    "journal",
    "placement",
    "read_events_of",
    "report",
    "timeline",
    "timeline_as",
    "verdict",
]


def read_events_of(content: bytes) -> list[Event]:
    """The lines of a log as events; those of a kind that only the farm knows, being newer, are left out."""
    return list(read_events(content.splitlines(keepends=True), lambda _what, _seq: None))


def verdict(bounds: Mapping[str, Any]) -> Call[Verdict]:
    """Judge the system under test."""
    return Call("GET", with_query("/api/verdict", as_table(Bounds, bounds)), Verdict, None, LONG_S)


def placement(terms: Mapping[str, Any]) -> Call[Placement]:
    """Measure how well its work was placed."""
    return Call("GET", with_query("/api/placement", as_table(Terms, terms)), Placement, None, LONG_S)


def delivered(job: str, facts: Mapping[str, Any], picture: bytes | None) -> Call[DeliveredState]:
    """Say that a result was handed to its user."""
    body = {"job": job, **facts}
    if picture is not None:
        body["picture"] = b64encode(picture).decode()
    return Call("POST", "/api/delivered", DeliveredState, body)


def drain(name: str, *, on: bool) -> Call[InstanceState]:
    """Write down that an instance shall get no new work, or some again."""
    return Call("POST", f"/api/instances/{name}/drain", InstanceState, {"on": on})


def journal(query: Mapping[str, Any]) -> Call[JournalState]:
    """The requests that came and the frames that were sent."""
    return Call("GET", with_query("/api/journal", query), JournalState, None, LONG_S)


def timeline() -> Call[RunTimeline]:
    """What each instance did when."""
    return Call("GET", "/api/timeline", RunTimeline, None, LONG_S)


def timeline_as(form: TimelineFormat) -> Call[Any]:
    """The same in another form; what comes back is text."""
    return Call("GET", with_query("/api/timeline", {"format": form}), object, None, LONG_S)


def report() -> Call[Any]:
    """All of it as one page; what comes back is text."""
    return Call("GET", "/api/report", object, None, LONG_S)
