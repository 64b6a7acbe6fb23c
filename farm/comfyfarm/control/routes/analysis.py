"""Routes of the analysis (verdict, placement, timeline, journal) and of what the system under test reports."""

from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import msgspec

from comfyfarm.analysis.journal import Journal, by_route, by_type
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.report.page import page
from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.analysis.timeline.values import as_values
from comfyfarm.analysis.trials import UnknownTrial
from comfyfarm.control.routes.instances import backend_of, state_of
from comfyfarm.control.routing import ApiError, Raw, route
from comfyfarm.control.schema import analysis, endpoints
from comfyfarm.control.schema.endpoints import HTML, JSON, SVG, TEXT
from comfyfarm.control.schema.farm import InstanceState
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_json
from comfyfarm.server.farm import Farm
from comfyfarm.server.live_analysis import TrialExists

E = TypeVar("E", bound=Event)

_REQUEST_FILTERS = ("route", "method", "status", "job")
_TIMELINE: dict[analysis.TimelineFormat, Callable[[Timeline], Raw]] = {
    "json": lambda timeline: _json(as_values(timeline)),
    "svg": lambda timeline: Raw(draw(timeline).encode(), SVG),
    "trace": lambda timeline: Raw(msgspec.json.encode(as_trace(timeline)), JSON),
    "text": lambda timeline: Raw(as_text(timeline).encode(), TEXT),
}


@route(endpoints.START_TRIAL)
def post_trial(farm: Farm, body: analysis.TrialBody) -> analysis.TrialState:
    """Begin a new trial: from here on, verdict, placement, journal, timeline and report are about what comes now.

    The state of the instances stays as it is; ``POST /api/reset`` changes it and begins a trial, too.
    """
    try:
        began = farm.analysis.begin_trial(**msgspec.structs.asdict(body))
    except TrialExists as error:
        raise ApiError(409, str(error)) from error
    return analysis.TrialState(
        name=began.name, seq=began.seq, jobs=began.jobs, delivery=began.delivery, client=began.client
    )


@route(endpoints.GET_VERDICT)
async def get_verdict(farm: Farm, query: analysis.VerdictQuery) -> Raw:
    """Return the verdict on the system under test until now.

    ``comfyfarm judge --json`` gives the same bytes for the saved log.  The query sets other thresholds.
    """
    return await _result(farm, query, lambda log_analysis: _json(log_analysis.verdict(query)), places=1)


@route(endpoints.GET_PLACEMENT)
async def get_placement(farm: Farm, query: analysis.PlacementQuery) -> Raw:
    """Return how well the work was placed until now.

    ``comfyfarm judge --placement-json`` gives the same bytes for the saved log.
    """
    return await _result(farm, query, lambda log_analysis: _json(log_analysis.placement(query)))


async def _result(
    farm: Farm,
    query: analysis.VerdictQuery | analysis.PlacementQuery | analysis.TrialQuery,
    encode: Callable[[LogAnalysis], Raw],
    *,
    places: int | None = None,
) -> Raw:
    """Return an encoded result of the analysis that a query selects, made off the reactor if it takes long.

    :param places: how many instances each event is compared with; ``None``: all.
    :raises ApiError: if there is no such trial, or the query contradicts itself.
    """
    try:
        selection = farm.analysis.select(trial=query.trial, since=query.since, client=query.client)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error
    except ValueError as error:
        raise ApiError(422, str(error)) from error
    try:
        size = selection.events * (places or len(farm.backends))
        return await farm.snapshots.run(lambda: encode(selection.analyse()), size)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error


def _json(result: msgspec.Struct) -> Raw:
    return Raw(as_json(result), JSON)


@route(endpoints.GET_TIMELINE)
async def get_timeline(farm: Farm, query: analysis.TimelineQuery) -> Raw:
    """Return what each instance did when: its jobs, its outages and its faults.

    As values, as a drawing (``format=svg``), for Perfetto and chrome://tracing (``trace``), or for a terminal
    (``text``).
    """
    return await _result(farm, query, lambda log_analysis: _TIMELINE[query.format](log_analysis.timeline()))


@route(endpoints.GET_REPORT)
async def get_report(farm: Farm, query: analysis.TrialQuery) -> Raw:
    """Return the verdict, the timeline, the placement and the faults as one page without external resources."""
    return await _result(farm, query, lambda log_analysis: Raw(page(log_analysis).encode(), HTML))


@route(endpoints.REPORT_ORDERS)
def post_orders(farm: Farm, body: analysis.OrdersBody) -> analysis.OrdersState:
    """Record what users asked for, what they were told of failures, and what they want no more."""
    try:
        farm.analysis.report_orders([report.as_event() for report in body.orders])
    except ValueError as error:
        raise ApiError(422, str(error)) from error
    return analysis.OrdersState(seq=farm.log.seq, recorded=len(body.orders))


@route(endpoints.TELL_DELIVERED)
def post_delivered(farm: Farm, body: analysis.DeliveredBody) -> Raw:
    """Record that a result was handed to its user, so that the verdict knows which and whose it was."""
    try:
        stamp = farm.analysis.delivered(**msgspec.structs.asdict(body))
    except ValueError as error:
        raise ApiError(422, str(error)) from error
    return _json(analysis.DeliveredState(seq=farm.log.seq, job=body.job, stamp=stamp))


@route(endpoints.DRAIN_INSTANCE)
def drain_instance(farm: Farm, name: str, body: analysis.DrainBody) -> InstanceState:
    """Record that the system under test shall send this instance no new work from now on, or some again.

    The instance itself goes on as before; the verdict takes the request into account.
    """
    backend_of(farm, name)
    farm.analysis.drain(name, on=body.on)
    return state_of(farm, name)


@route(endpoints.GET_JOURNAL)
async def get_journal(farm: Farm, query: analysis.JournalQuery) -> Raw:
    """Return the requests received and the frames sent, and the number of each, oldest first.

    A filter of requests (``route``, ``method``, ``status``, ``job``) excludes all frames, and ``type`` excludes all
    requests.  The log keeps its latest 100,000 events; older ones are missing.
    """
    request_filters = [key for key in _REQUEST_FILTERS if getattr(query, key) is not None]
    if query.type is not None and request_filters:
        raise ApiError(422, f"type: is a frame's, and {' and '.join(request_filters)} a request's")
    try:
        journal = farm.analysis.journal(query.trial)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error
    return await farm.snapshots.run(lambda: _journal_state(journal, query), len(farm.log.events))


def _journal_state(journal: Journal, query: analysis.JournalQuery) -> Raw:
    filters = {key: getattr(query, key) for key in _REQUEST_FILTERS}
    both = {"instance": query.instance, "prompt_id": query.prompt_id, "client": query.client}
    has_request_filter = any(value is not None for value in filters.values())
    requests = [] if query.type is not None else _since(journal.requests(**both, **filters), query.since)
    frames = [] if has_request_filter else _since(journal.frames(**both, type=query.type), query.since)
    state = analysis.JournalState(
        request_count=len(requests),
        frame_count=len(frames),
        by_route=by_route(requests),
        by_type=by_type(frames),
        requests=tuple(islice(requests, query.limit)),
        frames=tuple(islice(frames, query.limit)),
    )
    return _json(state)


def _since(events: list[E], seq: int) -> list[E]:
    return [event for event in events if event.seq > seq]
