"""What is looked for in a log, and by how much something misses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.events import Event, Exchanged, FrameSent
from comfyfarm.events.filters import all_kinds, kind_of

_OF_ONE_JOB = ("/history/", "/jobs/")


class UnknownFact(ValueError):
    """There is no such kind of event, or it has no such field: it could never be found."""


@dataclass(frozen=True)
class _Condition:
    """One thing that must be so.

    :ivar seen: what is true of an event.
    :ivar fits: whether that is what is wanted.
    """

    value: Any
    seen: Callable[[Any], Any]
    fits: Callable[[Any, Any], bool]

    def is_met_by(self, event: Event) -> bool:
        """Whether it is so."""
        return self.fits(self.seen(event), self.value)


@dataclass(frozen=True, repr=False)
class EventQuery:
    """An event that is looked for; made by :func:`request`, :func:`frame` and :func:`happened`.

    :ivar name: what it is called.
    :ivar facts: what must be true of it; the first is what it is known by best.
    """

    kind: type[Event]
    name: str
    facts: Mapping[str, _Condition]

    def is_met_by(self, event: Event) -> bool:
        """Whether it is one of these."""
        return isinstance(event, self.kind) and all(each.is_met_by(event) for each in self.facts.values())

    def missed_by(self, event: Event) -> list[str]:
        """What is not so of an event of this kind, in words: ``instance is 'gpu-2', not 'gpu-1'``."""
        missed = {name: each for name, each in self.facts.items() if not each.is_met_by(event)}
        return [f"{name} is {each.seen(event)!r}, not {each.value!r}" for name, each in missed.items()]

    def distance(self, event: Event) -> tuple[int, tuple[bool, ...]]:
        """How far an event of this kind is from it: by how many facts, and by which: the first count most."""
        missed = tuple(not each.is_met_by(event) for each in self.facts.values())
        return sum(missed), missed

    def __str__(self) -> str:
        """In words: ``request with route '/prompt' and status 200``."""
        said = [f"{key} {each.value!r}" for key, each in self.facts.items()]
        return f"{self.name} with {' and '.join(said)}" if said else self.name

    def __repr__(self) -> str:
        """The same, for whoever reads why an assertion failed."""
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
    """An HTTP exchange that has ended; what is not given may be anything, and texts may be globs (``/history*``).

    :param route: its path, without ``/api`` and the query.
    :param status: 0 where the client got no answer.
    :param prompt_id: of the job that a ``POST /prompt`` was taken on as, or whose history or job was asked for.
    :param job: the logical job of a ``POST /prompt`` or ``POST /interrupt``.
    :param client: the client id that the request names.
    """
    said = {"method": method and method.upper(), "route": route, "instance": instance, "client": client}
    return _wanted(Exchanged, "request", {**said, "job": job, "prompt_id": prompt_id, "status": status})


def frame(
    *,
    type: str | None = None,  # noqa: A002 (ComfyUI's word)
    instance: str | None = None,
    prompt_id: str | None = None,
    client: str | None = None,
) -> EventQuery:
    """A websocket message that was sent; what is not given may be anything, and texts may be globs (``exec*``).

    :param type: ComfyUI's message type, or ``binary-1`` and the like.
    :param client: one of those whom it was sent to.
    """
    said = {"type": type, "instance": instance, "prompt_id": prompt_id, "client": client}
    return _wanted(FrameSent, "frame", said)


def happened(kind: str, **facts: Any) -> EventQuery:
    """Any event of the log: ``happened("finished", prompt_id=..., status="success")``; each fact must be exactly so.

    :param kind: as the log writes it.
    :raises UnknownFact: where there is no such kind, or it has no such field.
    """
    of_kind = {kind_of(each): each for each in Event.__subclasses__()}
    if kind not in of_kind:
        raise UnknownFact(f"unknown kind {kind!r} (there are: {', '.join(all_kinds())})")
    fields = of_kind[kind].__struct_fields__
    for name in facts:
        if name not in fields:
            raise UnknownFact(f"{kind}: unknown field {name!r} (there are: {', '.join(fields)})")
    return EventQuery(
        of_kind[kind], kind, {name: _Condition(value, attrgetter(name), _is) for name, value in facts.items()}
    )


def _wanted(kind: type[Event], name: str, said: Mapping[str, Any]) -> EventQuery:
    given = {key: value for key, value in said.items() if value is not None}
    facts = {
        key: _Condition(value, _SEEN.get((kind, key), attrgetter(key)), _like if isinstance(value, str) else _is)
        for key, value in given.items()
    }
    return EventQuery(kind, name, facts)


def _is(seen: Any, value: Any) -> bool:
    return bool((list(seen) if isinstance(seen, tuple) and isinstance(value, list) else seen) == value)


def _like(seen: Any, value: str) -> bool:
    texts = seen if isinstance(seen, tuple) else (seen,)
    return any(isinstance(each, str) and (each == value or fnmatchcase(each, value)) for each in texts)


def _route(event: Exchanged) -> str:
    return unquote(route_of(event.path))


def _prompt_id(event: Exchanged) -> str | None:
    route = _route(event)
    return route.split("/")[2] if event.prompt_id is None and route.startswith(_OF_ONE_JOB) else event.prompt_id


_SEEN: dict[tuple[type[Event], str], Callable[[Any], Any]] = {
    (Exchanged, "route"): _route,
    (Exchanged, "prompt_id"): _prompt_id,
    (Exchanged, "client"): attrgetter("client_id"),
    (FrameSent, "client"): attrgetter("to"),
}
