"""Dispatch of events to methods by type, for classes that listen to the log."""

from collections.abc import Callable
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
    _handlers: ClassVar[dict[type[Event], Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = (method for method in vars(cls).values() if callable(method))
        cls._handlers = {kind: method for method in own for kind in getattr(method, "handles", ())}

    def on_event(self, event: Event) -> None:
        """Call the method for the event's type; an event without one is ignored."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)
