"""Routes of the analysis (verdict, placement, timeline, journal) and of what the system under test reports."""

from collections import Counter
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import msgspec

from comfyfarm.analysis.event_query import EventQuery, frame, request
from comfyfarm.analysis.journal import Journal, by_route, by_type
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.report.page import page
from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.analysis.timeline.values import as_values
from comfyfarm.analysis.trials import UnknownTrial
from comfyfarm.control.routes.instances import backend_of, note_step, state_of
from comfyfarm.control.routing import ApiError, Raw, route
from comfyfarm.control.schema import analysis, endpoints
from comfyfarm.control.schema.endpoints import HTML, JSON, SVG, TEXT
from comfyfarm.control.schema.farm import InstanceState
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_json
from comfyfarm.server.farm import Farm
from comfyfarm.server.live_analysis import TrialExists
from comfyfarm.server.time.turns import in_turns

E = TypeVar("E", bound=Event)

_EVENTS_IN_A_TURN = 2000    # about 5 ms
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
    logged = query.logged
    return await _result(farm, query, lambda log_analysis: _json(log_analysis.verdict(query)), places=1, logged=logged)


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
    logged: bool = True,
) -> Raw:
    """Return an encoded result of the analysis that a query selects, made off the reactor if it takes long.

    :param places: how many instances each event is compared with; ``None``: all.
    :param logged: whether the log gets the time of the request.
    :raises ApiError: if there is no such trial, or the query contradicts itself.
    """
    try:
        selection = farm.analysis.select(trial=query.trial, since=query.since, client=query.client, logged=logged)
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
async def post_orders(farm: Farm, body: analysis.OrdersBody) -> analysis.OrdersState:
    """Record what users asked for, what they were told of failures, and what they want no more."""
    try:
        await in_turns(farm.reactor, farm.analysis.report_orders([report.as_event() for report in body.orders]))
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
    if body.on != (name in farm.analysis.drained):
        farm.analysis.drain(name, on=body.on)
        note_step(farm, "drain" if body.on else "undrain", name)
    return state_of(farm, name)


@route(endpoints.GET_JOURNAL)
async def get_journal(farm: Farm, query: analysis.JournalQuery) -> Raw:
    """Return the requests received and the frames sent, and the number of each, oldest first.

    A filter of requests (``route``, ``method``, ``status``, ``job``) excludes all frames, and ``type`` excludes all
    requests.  The log keeps its latest 100,000 events; older ones are missing.
    """
    filters = {key: getattr(query, key) for key in _REQUEST_FILTERS}
    request_filters = [key for key, value in filters.items() if value is not None]
    if query.type is not None and request_filters:
        raise ApiError(422, f"type: is a frame's, and {' and '.join(request_filters)} a request's")
    both: dict[str, Any] = {"instance": query.instance, "prompt_id": query.prompt_id, "client": query.client}
    try:
        journal = farm.analysis.journal(query.trial)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error
    wanted_requests = None if query.type is not None else request(**both, **filters)
    wanted_frames = None if request_filters else frame(**both, type=query.type)
    requests: list[Any] = await in_turns(farm.reactor, _select(journal, wanted_requests, query.since))
    frames: list[Any] = await in_turns(farm.reactor, _select(journal, wanted_frames, query.since))
    state = analysis.JournalState(
        request_count=len(requests),
        frame_count=len(frames),
        by_route=await in_turns(farm.reactor, _count(requests, by_route)),
        by_type=await in_turns(farm.reactor, _count(frames, by_type)),
        requests=tuple(requests[: query.limit]),
        frames=tuple(frames[: query.limit]),
    )
    return _json(state)


def _select(journal: Journal, query: EventQuery | None, since: int) -> Generator[None, None, list[Event]]:
    """Return the events behind ``since`` that match the query, in steps; none if there is no query."""
    selected: list[Event] = []
    for number, event in enumerate(journal if query is not None else (), 1):
        if event.seq > since and query is not None and query.matches(event):
            selected.append(event)
        if not number % _EVENTS_IN_A_TURN:
            yield
    return selected


def _count(events: list[E], count: Callable[[list[E]], dict[str, int]]) -> Generator[None, None, dict[str, int]]:
    """Return the sums of the counts of all parts, in steps, by their keys."""
    sums = Counter[str]()
    for start in range(0, len(events), _EVENTS_IN_A_TURN):
        sums.update(count(events[start : start + _EVENTS_IN_A_TURN]))
        yield
    return dict(sorted(sums.items()))
