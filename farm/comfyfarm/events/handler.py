"""Dispatch of events to methods by type, for classes that listen to the log."""

from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any, ClassVar, TypeVar

from comfyfarm.events.base import Event
from comfyfarm.events.clients import Exchanged

Method = TypeVar("Method", bound=Callable[..., None])

Kind = type[Event] | str
"""A type of events, or the exchanges of one method and the first part of a route: ``GET /history``."""

Methods = Mapping[Kind, Sequence[Callable[[Event], None]]]
"""By kind, what is called with an event of it; with an exchange: what its request has, else what all exchanges have."""


def on(*kinds: Kind) -> Callable[[Method], Method]:
    """Mark a method of an :class:`EventHandler` as the handler of events of these kinds."""

    def mark(method: Method) -> Method:
        method.__dict__["handles"] = kinds
        return method

    return mark


class EventHandler:
    """The base of classes that handle events with methods marked by :func:`on`, one method for each kind."""

    # A dictionary per class, because functools.singledispatchmethod is ten times slower per event.
    handlers: ClassVar[dict[Kind, Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = (method for method in vars(cls).values() if callable(method))
        cls.handlers = {kind: method for method in own for kind in getattr(method, "handles", ())}

    def on_event(self, event: Event) -> None:
        """Call the method for the event's kind; an event without one is ignored."""
        handler = self.handlers.get(type(event))
        if type(event) is Exchanged:
            handler = self.handlers.get(request_of(event), handler)
        if handler is not None:
            handler(self, event)


def request_of(event: Exchanged) -> str:
    """Return the method and the first part of the route, without the ``/api`` that may stand in front of any."""
    path = event.path
    if path.startswith("/api/"):
        path = path[4:]
    end = path.find("/", 1)
    return f"{event.method} {path if end < 0 else path[:end]}"


def by_type(*handlers: EventHandler) -> dict[Kind, list[Callable[[Event], None]]]:
    """Return, for each kind of events, the methods of several handlers that handle it, in the order of the handlers.

    Most events of a log concern few of those that follow it: to call the others for each costs more than the rest.

    :param handlers: what their classes' own ``on_event`` does besides is the caller's to do.
    """
    tables = ({kind: [MethodType(method, own)] for kind, method in own.handlers.items()} for own in handlers)
    return merged(*tables)


def merged(*tables: Methods) -> dict[Kind, list[Callable[[Event], None]]]:
    """Return the methods of several tables in one, in the order of the tables."""
    kinds = dict.fromkeys(kind for table in tables for kind in table)
    return {kind: [method for table in tables for method in _methods_for(kind, table)] for kind in kinds}


def _methods_for(kind: Kind, table: Methods) -> Sequence[Callable[[Event], None]]:
    if isinstance(kind, str) and kind not in table:
        kind = Exchanged
    return table.get(kind, ())


def methods_of(event: Event, table: Methods) -> Sequence[Callable[[Event], None]]:
    """Return what a table has for an event."""
    if isinstance(event, Exchanged) and (methods := table.get(request_of(event))) is not None:
        return methods
    return table.get(type(event), ())
