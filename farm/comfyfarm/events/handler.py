"""Dispatch of events to methods by type, for classes that listen to the log."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeVar

from comfyfarm.events.base import Event

Method = TypeVar("Method", bound=Callable[..., None])


def on(*kinds: type[Event]) -> Callable[[Method], Method]:
    """Mark a method of an :class:`EventHandler` as the handler of events of these types."""

    def mark(method: Method) -> Method:
        method.__dict__["handles"] = kinds
        return method

    return mark


class EventHandler:
    """The base of classes that handle events with methods marked by :func:`on`, one method for each type."""

    # A dictionary per class, because functools.singledispatchmethod is ten times slower per event.
    handlers: ClassVar[dict[type[Event], Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = (method for method in vars(cls).values() if callable(method))
        cls.handlers = {kind: method for method in own for kind in getattr(method, "handles", ())}

    def on_event(self, event: Event) -> None:
        """Call the method for the event's type; an event without one is ignored."""
        handler = self.handlers.get(type(event))
        if handler is not None:
            handler(self, event)


def by_type(*handlers: EventHandler) -> dict[type[Event], list[Callable[[Event], None]]]:
    """Return, for each type of event, the methods of several handlers that handle it, in the order of the handlers.

    Most events of a log concern few of those that follow it: to call the others for each costs more than the rest.

    :param handlers: what their classes' own ``on_event`` does besides is the caller's to do.
    """
    methods: dict[type[Event], list[Callable[[Event], None]]] = {}
    for handler in handlers:
        for kind, method in handler.handlers.items():
            methods.setdefault(kind, []).append(partial(method, handler))
    return methods
