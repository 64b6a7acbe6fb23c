"""What the log proves about the system under test, and what that system says itself."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

import msgspec

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.journal import by_route, by_type
from comfyfarm.analysis.placement.placement import PlacementThresholds
from comfyfarm.control.routes.instances import backend_of, state_of
from comfyfarm.control.routing import ApiError, Raw, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.analysis import DeliveredBody, DeliveredState, DrainBody, JournalQuery, JournalState
from comfyfarm.control.schema.endpoints import JSON
from comfyfarm.control.schema.farm import InstanceState
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_json
from comfyfarm.server.farm import Farm

E = TypeVar("E", bound=Event)

_OF_REQUESTS = ("route", "method", "status", "job")


@route(endpoints.GET_VERDICT)
def get_verdict(farm: Farm, query: Thresholds) -> Raw:
    """Judge the system under test by all that has happened until now.

    ``comfyfarm judge --json`` gives the same bytes for the saved log.  The query has other bounds than the usual ones.
    """
    return _json(farm.analysis.verdict(query))


@route(endpoints.GET_PLACEMENT)
def get_placement(farm: Farm, query: PlacementThresholds) -> Raw:
    """Measure how well the work was placed until now.

    ``comfyfarm judge --placement-json`` gives the same bytes for the saved log.
    """
    return _json(farm.analysis.placement(query))


def _json(told: msgspec.Struct) -> Raw:
    return Raw(as_json(told), JSON)


@route(endpoints.TELL_DELIVERED)
def post_delivered(farm: Farm, body: DeliveredBody) -> Raw:
    """Say that a result was handed to its user; the verdict then knows what was delivered, and whose it was."""
    try:
        stamp = farm.analysis.delivered(**msgspec.structs.asdict(body))
    except ValueError as why:
        raise ApiError(422, str(why)) from why
    return _json(DeliveredState(seq=farm.log.seq, job=body.job, stamp=stamp))


@route(endpoints.DRAIN_INSTANCE)
def drain_instance(farm: Farm, name: str, body: DrainBody) -> InstanceState:
    """Write down that the system under test shall send it no new work from now on, or some again.

    The instance itself goes on as before: whoever dispatches is told, and judged by it.
    """
    backend_of(farm, name)
    farm.analysis.drain(name, on=body.on)
    return state_of(farm, name)


@route(endpoints.GET_JOURNAL)
def get_journal(farm: Farm, query: JournalQuery) -> Raw:
    """Give the requests that came and the frames that were sent, and how many of each, oldest first.

    What is asked of requests alone (``route``, ``method``, ``status``, ``job``) leaves the frames out, and ``type`` the
    requests.  Of a long run there are those that the log still has: its latest 100,000 events.
    """
    named = {key: getattr(query, key) for key in _OF_REQUESTS}
    of_requests = [key for key, value in named.items() if value is not None]
    if query.type is not None and of_requests:
        raise ApiError(422, f"type: is a frame's, and {' and '.join(of_requests)} a request's")
    both = {"instance": query.instance, "prompt_id": query.prompt_id, "client": query.client}
    journal = farm.analysis.journal
    requests = [] if query.type is not None else _since(journal.requests(**both, **named), query.since)
    frames = [] if of_requests else _since(journal.frames(**both, type=query.type), query.since)
    state = JournalState(
        request_count=len(requests),
        frame_count=len(frames),
        by_route=by_route(requests),
        by_type=by_type(frames),
        requests=tuple(islice(requests, query.limit)),
        frames=tuple(islice(frames, query.limit)),
    )
    return _json(state)


def _since(events: list[E], seq: int) -> list[E]:
    return [each for each in events if each.seq > seq]
