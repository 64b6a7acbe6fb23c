"""Events passed to methods by their type, for classes that follow the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from comfyfarm.events.base import Event

Method = TypeVar("Method", bound=Callable[..., None])


def on(*kinds: type[Event]) -> Callable[[Method], Method]:
    """Mark a method of an :class:`EventHandler` as the one that takes events of these types."""

    def mark(method: Method) -> Method:
        method.__dict__["handles"] = kinds
        return method

    return mark


class EventHandler:
    """The base of a class whose methods under :func:`on` take events, one method for each type of event."""

    # A dictionary for each class: functools.singledispatchmethod takes ten times as long for each event.
    _handlers: ClassVar[dict[type[Event], Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = (method for method in vars(cls).values() if callable(method))
        cls._handlers = {kind: method for method in own for kind in getattr(method, "handles", ())}

    def on_event(self, event: Event) -> None:
        """Pass an event to the method that takes its type; an event that none takes is passed over."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)
