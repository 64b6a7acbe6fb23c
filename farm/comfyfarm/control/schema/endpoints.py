"""The table of all endpoints of the control server.

Handlers are registered for its endpoints (:func:`comfyfarm.control.routing.route`), ``/openapi.json`` is made from it,
and :mod:`comfyfarm.clients.control_methods` makes its requests from it.  It imports neither Twisted nor Klein.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.timeline.values import RunTimeline
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.control.schema import analysis, farm, faults, page

A = TypeVar("A")

JSON, LINES = "application/json", "application/x-ndjson"
SVG, TEXT, HTML = "image/svg+xml", "text/plain; charset=utf-8", "text/html; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"     # Prometheus's text format

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
    :ivar max_bytes: the size of the longest body that is read.
    """

    method: str
    path: str
    answer: type[A]
    body: Any = None
    query: type[msgspec.Struct] | None = None
    media_type: str = JSON
    also: tuple[str, ...] = ()
    others: tuple[tuple[int, type[msgspec.Struct]], ...] = ()
    max_bytes: int = 1 << 20

    @property
    def is_json(self) -> bool:
        return self.media_type == JSON


_BLOCKED = ((503, farm.Problem),)   # another program has the port

GET_CLOCK = Endpoint("GET", "/api/clock", farm.ClockState)
CHANGE_CLOCK = Endpoint("POST", "/api/clock", farm.ClockState, farm.ClockBody, others=((409, farm.Problem),))

LIST_FAULTS = Endpoint("GET", "/api/faults", faults.FaultList)
ARM_FAULTS = Endpoint("POST", "/api/faults", faults.FaultList, Table)
REMOVE_FAULTS = Endpoint("DELETE", "/api/faults", farm.Done)
GET_FAULT = Endpoint("GET", "/api/faults/{fault_id}", faults.FaultState)
REMOVE_FAULT = Endpoint("DELETE", "/api/faults/{fault_id}", faults.FaultState)
HEAL = Endpoint("POST", "/api/heal", farm.Done, others=_BLOCKED)

LIST_GATES = Endpoint("GET", "/api/gates", faults.GateList)
CLOSE_GATE = Endpoint("POST", "/api/gates", faults.GateState, Table)
GET_GATE = Endpoint("GET", "/api/gates/{gate_id}", faults.GateState)
RELEASE_GATE = Endpoint("POST", "/api/gates/{gate_id}/release", faults.GateState, faults.ReleaseBody)
OPEN_GATE = Endpoint("DELETE", "/api/gates/{gate_id}", faults.GateState)

LIST_INSTANCES = Endpoint("GET", "/api/instances", dict[str, farm.InstanceState])
GET_INSTANCE = Endpoint("GET", "/api/instances/{name}", farm.InstanceDetail)
CHANGE_INSTANCE = Endpoint("PATCH", "/api/instances/{name}", farm.InstanceDetail, Table)
STOP_INSTANCE = Endpoint("POST", "/api/instances/{name}/stop", farm.InstanceState)
START_INSTANCE = Endpoint("POST", "/api/instances/{name}/start", farm.InstanceState, others=_BLOCKED)
RESTART_INSTANCE = Endpoint("POST", "/api/instances/{name}/restart", farm.InstanceState, others=_BLOCKED)
CRASH_INSTANCE = Endpoint("POST", "/api/instances/{name}/crash", farm.InstanceState, faults.CrashBody)
PAUSE_INSTANCE = Endpoint("POST", "/api/instances/{name}/pause", farm.InstanceState)
RESUME_INSTANCE = Endpoint("POST", "/api/instances/{name}/resume", farm.InstanceState)
RESET_INSTANCE = Endpoint("POST", "/api/instances/{name}/reset", farm.Done, farm.ResetBody)
DRAIN_INSTANCE = Endpoint("POST", "/api/instances/{name}/drain", farm.InstanceState, analysis.DrainBody)

GET_LOG = Endpoint("GET", "/api/log", bytes, query=farm.LogQuery, media_type=LINES)
STREAM_LOG = Endpoint("GET", "/api/log/stream", bytes, query=farm.StreamQuery, media_type="text/plain")
GET_JOURNAL = Endpoint("GET", "/api/journal", analysis.JournalState, query=analysis.JournalQuery)
GET_TIMELINE = Endpoint("GET", "/api/timeline", RunTimeline, query=analysis.TimelineQuery, also=(SVG, TEXT))
GET_REPORT = Endpoint("GET", "/api/report", bytes, query=analysis.TrialQuery, media_type=HTML)
GET_VERDICT = Endpoint("GET", "/api/verdict", Verdict, query=analysis.VerdictQuery)
GET_PLACEMENT = Endpoint("GET", "/api/placement", Placement, query=analysis.PlacementQuery)
START_TRIAL = Endpoint(
    "POST", "/api/trial", analysis.TrialState, analysis.TrialBody, others=((409, farm.Problem),)
)
REPORT_ORDERS = Endpoint("POST", "/api/orders", analysis.OrdersState, analysis.OrdersBody, max_bytes=4 << 20)
_PICTURE_BYTES = 64 << 20       # in Base64
TELL_DELIVERED = Endpoint(
    "POST", "/api/delivered", analysis.DeliveredState, analysis.DeliveredBody, max_bytes=_PICTURE_BYTES
)

LIST_EFFECTS = Endpoint("GET", "/api/effects", page.EffectList)
START_SCENARIO = Endpoint("POST", "/api/scenarios", page.ScenarioStarted, Table)
GET_TEST = Endpoint("GET", "/api/test", bytes, query=page.TestQuery, media_type=TEXT)
GET_PICTURE = Endpoint(
    "GET", "/api/instances/{name}/picture", bytes, query=page.PictureQuery, media_type="application/octet-stream"
)

WAIT = Endpoint("POST", "/api/wait", farm.WaitState, farm.WaitBody, others=((504, farm.WaitTimedOut),))
GET_HEALTH = Endpoint("GET", "/healthz", farm.Done)
GET_METRICS = Endpoint("GET", "/metrics", bytes, media_type=METRICS)
GET_FARM = Endpoint("GET", "/api/farm", farm.FarmState)
RESET = Endpoint("POST", "/api/reset", farm.Done, farm.ResetBody)
GET_OPENAPI = Endpoint("GET", "/openapi.json", dict[str, Any])
