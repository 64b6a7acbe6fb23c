"""Queries for events of a log, and how far an event is from matching one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.events import Event, Exchanged, FrameSent
from comfyfarm.events.filters import all_kinds, kind_of

_PREFIXES_OF_ONE_JOB = ("/history/", "/jobs/")


class UnknownFact(ValueError):
    """There is no such kind of event, or it has no such field."""


@dataclass(frozen=True)
class _Condition:
    """A condition on one fact of an event.

    :ivar get: returns the fact of an event.
    :ivar fits: compares the fact with the expected value.
    """

    expected: Any
    get: Callable[[Any], Any]
    fits: Callable[[Any, Any], bool]

    def is_met_by(self, event: Event) -> bool:
        return self.fits(self.get(event), self.expected)


@dataclass(frozen=True, repr=False)
class EventQuery:
    """A query for events, made by :func:`request`, :func:`frame` or :func:`happened`.

    :ivar name: of the kind of event, in messages.
    :ivar conditions: by name of the fact, the most significant first.
    """

    kind: type[Event]
    name: str
    conditions: Mapping[str, _Condition]

    def matches(self, event: Event) -> bool:
        conditions = self.conditions.values()
        return isinstance(event, self.kind) and all(condition.is_met_by(event) for condition in conditions)

    def mismatches(self, event: Event) -> list[str]:
        """Describe the facts in which an event of this kind differs: ``instance is 'gpu-2', not 'gpu-1'``."""
        return [
            f"{name} is {condition.get(event)!r}, not {condition.expected!r}"
            for name, condition in self.conditions.items()
            if not condition.is_met_by(event)
        ]

    def distance(self, event: Event) -> tuple[int, tuple[bool, ...]]:
        """Return a sort key for events of this kind: how many facts differ, then which, the most significant first."""
        missed = tuple(not condition.is_met_by(event) for condition in self.conditions.values())
        return sum(missed), missed

    def __str__(self) -> str:
        """Return the query in words: ``request with route '/prompt' and status 200``."""
        facts = [f"{name} {condition.expected!r}" for name, condition in self.conditions.items()]
        return f"{self.name} with {' and '.join(facts)}" if facts else self.name

    def __repr__(self) -> str:
        return f"<{self}>"


def request(
    *,
    route: str | None = None,
    method: str | None = None,
    status: int | None = None,
    instance: str | None = None,
    prompt_id: str | None = None,
    job: str | None = None,
    client: str | None = None,
) -> EventQuery:
    """Query HTTP exchanges that have ended; arguments left out match anything, texts may be globs (``/history*``).

    :param route: its path, without ``/api`` and the query.
    :param status: 0 if the client got no answer.
    :param prompt_id: of the job that a ``POST /prompt`` was accepted as, or whose history or job was requested.
    :param job: the logical job of a ``POST /prompt`` or ``POST /interrupt``.
    :param client: the client id that the request names.
    """
    facts = {"method": method and method.upper(), "route": route, "instance": instance, "client": client}
    return _query(Exchanged, "request", {**facts, "job": job, "prompt_id": prompt_id, "status": status})


def frame(
    *,
    type: str | None = None,  # noqa: A002 (ComfyUI's word)
    instance: str | None = None,
    prompt_id: str | None = None,
    client: str | None = None,
) -> EventQuery:
    """Query websocket messages that were sent; arguments left out match anything, texts may be globs (``exec*``).

    :param type: ComfyUI's message type, or ``binary-1`` and the like.
    :param client: one of the client ids that it was sent to.
    """
    return _query(
        FrameSent, "frame", {"type": type, "instance": instance, "prompt_id": prompt_id, "client": client}
    )


def happened(kind: str, **facts: Any) -> EventQuery:
    """Query events of any kind: ``happened("finished", prompt_id=..., status="success")``; facts match exactly.

    :param kind: as written in the log.
    :raises UnknownFact: if there is no such kind, or it has no such field.
    """
    types = {kind_of(event_type): event_type for event_type in Event.__subclasses__()}
    if kind not in types:
        raise UnknownFact(f"unknown kind {kind!r} (there are: {', '.join(all_kinds())})")
    fields = types[kind].__struct_fields__
    for name in facts:
        if name not in fields:
            raise UnknownFact(f"{kind}: unknown field {name!r} (there are: {', '.join(fields)})")
    return EventQuery(
        types[kind], kind, {name: _Condition(value, attrgetter(name), _equals) for name, value in facts.items()}
    )


def _query(kind: type[Event], name: str, facts: Mapping[str, Any]) -> EventQuery:
    conditions = {
        key: _Condition(value, _GETTERS.get((kind, key), attrgetter(key)), _like if isinstance(value, str) else _equals)
        for key, value in facts.items()
        if value is not None
    }
    return EventQuery(kind, name, conditions)


def _equals(fact: Any, expected: Any) -> bool:
    return bool((list(fact) if isinstance(fact, tuple) and isinstance(expected, list) else fact) == expected)


def _like(fact: Any, expected: str) -> bool:
    texts = fact if isinstance(fact, tuple) else (fact,)
    return any(isinstance(text, str) and (text == expected or fnmatchcase(text, expected)) for text in texts)


def _route(event: Exchanged) -> str:
    return unquote(route_of(event.path))


def _prompt_id(event: Exchanged) -> str | None:
    route = _route(event)
    if event.prompt_id is None and route.startswith(_PREFIXES_OF_ONE_JOB):
        return route.split("/")[2]
    return event.prompt_id


_GETTERS: dict[tuple[type[Event], str], Callable[[Any], Any]] = {
    (Exchanged, "route"): _route,
    (Exchanged, "prompt_id"): _prompt_id,
    (Exchanged, "client"): attrgetter("client_id"),
    (FrameSent, "client"): attrgetter("to"),
}
