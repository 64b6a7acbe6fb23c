"""The table of all endpoints of the control server.

Handlers are registered for its endpoints (:func:`comfyfarm.control.routing.route`), ``/openapi.json`` is made from it,
and :mod:`comfyfarm.clients.control` makes its requests from it.  It imports neither Twisted nor Klein.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.timeline.values import RunTimeline
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.control.schema.analysis import (
    DeliveredBody,
    DeliveredState,
    DrainBody,
    JournalQuery,
    JournalState,
    TimelineQuery,
)
from comfyfarm.control.schema.farm import (
    ClockBody,
    ClockState,
    Done,
    FarmState,
    InstanceDetail,
    InstanceState,
    LogFilter,
    LogQuery,
    Problem,
    ResetBody,
    WaitBody,
    WaitState,
    WaitTimedOut,
)
from comfyfarm.control.schema.faults import CrashBody, FaultList, FaultState, GateList, GateState, ReleaseBody

A = TypeVar("A")

JSON, LINES = "application/json", "application/x-ndjson"
SVG, TEXT, HTML = "image/svg+xml", "text/plain; charset=utf-8", "text/html; charset=utf-8"

Table = dict[str, Any]
"""A body written as a table of the configuration; its handler decodes it."""


@dataclass(frozen=True)
class Endpoint(Generic[A]):
    """One method on one path.

    :ivar path: with names in braces.
    :ivar answer: the type of the answer; ``bytes`` if the answer is not JSON.
    :ivar body: the type of the JSON body; None if no body is read.
    :ivar query: a Struct with a field for each key that the query may have.
    :ivar also: other media types of the answer, on request.
    :ivar others: answers with other statuses.
    """

    method: str
    path: str
    answer: type[A]
    body: Any = None
    query: type[msgspec.Struct] | None = None
    media_type: str = JSON
    also: tuple[str, ...] = ()
    others: tuple[tuple[int, type[msgspec.Struct]], ...] = ()

    @property
    def is_json(self) -> bool:
        return self.media_type == JSON


GET_CLOCK = Endpoint("GET", "/api/clock", ClockState)
CHANGE_CLOCK = Endpoint("POST", "/api/clock", ClockState, ClockBody, others=((409, Problem),))

LIST_FAULTS = Endpoint("GET", "/api/faults", FaultList)
ARM_FAULTS = Endpoint("POST", "/api/faults", FaultList, Table)
REMOVE_FAULTS = Endpoint("DELETE", "/api/faults", Done)
GET_FAULT = Endpoint("GET", "/api/faults/{fault_id}", FaultState)
REMOVE_FAULT = Endpoint("DELETE", "/api/faults/{fault_id}", FaultState)
HEAL = Endpoint("POST", "/api/heal", Done)

LIST_GATES = Endpoint("GET", "/api/gates", GateList)
CLOSE_GATE = Endpoint("POST", "/api/gates", GateState, Table)
GET_GATE = Endpoint("GET", "/api/gates/{gate_id}", GateState)
RELEASE_GATE = Endpoint("POST", "/api/gates/{gate_id}/release", GateState, ReleaseBody)
OPEN_GATE = Endpoint("DELETE", "/api/gates/{gate_id}", GateState)

LIST_INSTANCES = Endpoint("GET", "/api/instances", dict[str, InstanceState])
GET_INSTANCE = Endpoint("GET", "/api/instances/{name}", InstanceDetail)
CHANGE_INSTANCE = Endpoint("PATCH", "/api/instances/{name}", InstanceDetail, Table)
STOP_INSTANCE = Endpoint("POST", "/api/instances/{name}/stop", InstanceState)
START_INSTANCE = Endpoint("POST", "/api/instances/{name}/start", InstanceState)
RESTART_INSTANCE = Endpoint("POST", "/api/instances/{name}/restart", InstanceState)
CRASH_INSTANCE = Endpoint("POST", "/api/instances/{name}/crash", InstanceState, CrashBody)
PAUSE_INSTANCE = Endpoint("POST", "/api/instances/{name}/pause", InstanceState)
RESUME_INSTANCE = Endpoint("POST", "/api/instances/{name}/resume", InstanceState)
RESET_INSTANCE = Endpoint("POST", "/api/instances/{name}/reset", Done, ResetBody)
DRAIN_INSTANCE = Endpoint("POST", "/api/instances/{name}/drain", InstanceState, DrainBody)

GET_LOG = Endpoint("GET", "/api/log", bytes, query=LogQuery, media_type=LINES)
STREAM_LOG = Endpoint("GET", "/api/log/stream", bytes, query=LogFilter, media_type="text/plain")
GET_JOURNAL = Endpoint("GET", "/api/journal", JournalState, query=JournalQuery)
GET_TIMELINE = Endpoint("GET", "/api/timeline", RunTimeline, query=TimelineQuery, also=(SVG, TEXT))
GET_REPORT = Endpoint("GET", "/api/report", bytes, media_type=HTML)
GET_VERDICT = Endpoint("GET", "/api/verdict", Verdict, query=Thresholds)
GET_PLACEMENT = Endpoint("GET", "/api/placement", Placement, query=PlacementThresholds)
TELL_DELIVERED = Endpoint("POST", "/api/delivered", DeliveredState, DeliveredBody)

WAIT = Endpoint("POST", "/api/wait", WaitState, WaitBody, others=((504, WaitTimedOut),))
GET_HEALTH = Endpoint("GET", "/healthz", Done)
GET_FARM = Endpoint("GET", "/api/farm", FarmState)
RESET = Endpoint("POST", "/api/reset", Done, ResetBody)
GET_OPENAPI = Endpoint("GET", "/openapi.json", dict[str, Any])
