"""The one place where things are said to have happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from comfyfarm.events import Event

E = TypeVar("E", bound=Event)
Listener = Callable[[Event], None]

KEPT = 100_000


@dataclass(eq=False)
class Log:
    """The sequence of a farm's events, and those who listen to it.

    Every listener hears every event, in the order of ``seq``, also those that listeners publish themselves
    while they hear one.  In memory only the latest stay; whoever needs them all listens from the start.

    :ivar events: the latest, oldest first.
    """

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=KEPT))
    _listeners: list[Listener] = field(default_factory=list)
    _listeners_of: dict[str, list[Listener]] = field(default_factory=dict)
    _seq: int = 0
    _unheard: deque[Event] = field(default_factory=deque)
    _publishing: bool = False

    def publish(self, event: Event, instance: str = "", epoch: int = 0) -> None:
        """Number an event, keep it, and tell every listener."""
        self._seq += 1
        numbered = msgspec.structs.replace(event, seq=self._seq, instance=instance, epoch=epoch)
        self.events.append(numbered)
        self._unheard.append(numbered)
        if not self._publishing:
            self._tell()

    @property
    def seq(self) -> int:
        """Of the last event; 0 before the first."""
        return self._seq

    def listen(self, listener: Listener, instance: str | None = None) -> Callable[[], None]:
        """Hear every event from now on, or every event of one instance; call the answer to stop."""
        listeners = self._listeners if instance is None else self._listeners_of.setdefault(instance, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def of(self, kind: type[E]) -> Iterator[E]:
        """The kept events of one kind."""
        return (event for event in self.events if isinstance(event, kind))

    def _tell(self) -> None:
        self._publishing = True
        try:
            while self._unheard:
                event = self._unheard.popleft()
                for listener in (*self._listeners, *self._listeners_of.get(event.instance, ())):
                    listener(event)
        finally:
            self._publishing = False
