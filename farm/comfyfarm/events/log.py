"""The event log of a farm.

An event's way through the log::

    farm, control API ---+     +--- process of an instance
                         |     |
                         v     v
              publish(event, instance, epoch)         numbers it: seq 1, 2, 3 ...
                            |
                            +-----> events            the latest 100,000
                            |
                         _pending                     holds more than one only while listeners publish
                            |
                            v
           1. listeners of the farm                   job counter, analysis;
                            |                         then streams and waits of the control API
                            v
           2. listeners to the event's instance       its process: server log, websocket notifier

A listener may name the types of events that it wants; which listeners get an event is looked up by its type, so that
those that most events do not concern cost nothing.

Listeners are called before ``publish`` returns, in the order in which they were added.  The exception is an event
that a listener publishes: the websocket notifier, for example, publishes ``FrameSent`` while it handles
``NodeStarted``.  It is numbered and kept at once, but that inner ``publish`` only appends it to ``_pending`` and
returns; the outermost ``publish`` calls the listeners until ``_pending`` is empty.  So handlers are never nested, and
each listener handles every event once, in the order of ``seq``, whether or not listeners publish.

The listeners to batches (3) are called when ``_pending`` is empty, with all events that were published since the
outermost ``publish`` began: an event together with what it caused at once.

If a listener raises, the others still get the event and those that are pending; then the outermost ``publish`` raises
the error, or an ``ExceptionGroup`` if there were several.

A listener that needs all events must be added before the first one.  A frozen process defers its own handling (2)
until it thaws (``FreezeQueue`` in ``server/http/freeze_queue.py``); the listeners of the farm (1) are not delayed.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import msgspec

from comfyfarm.events import Event

A = TypeVar("A")
E = TypeVar("E", bound=Event)
Listener = Callable[[Event], None]
BatchListener = Callable[[Sequence[Event]], None]

KEPT = 100_000


class _Subscription(NamedTuple):
    """A listener, and the types of events that it wants; ``None``: all."""

    listener: Listener
    kinds: Collection[type[Event]] | None


@dataclass(eq=False, repr=False)
class Log:
    """The events of a farm, and their listeners.

    :ivar events: the latest :data:`KEPT`, oldest first.
    :ivar seq: of the last event; 0 before the first.
    """

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=KEPT))
    seq: int = 0
    _subscriptions: dict[str, list[_Subscription]] = field(default_factory=dict)    # by instance; "" for all of them
    _listeners: dict[tuple[str, type[Event]], tuple[Listener, ...]] = field(default_factory=dict)   # as looked up
    _batch_listeners: list[BatchListener] = field(default_factory=list)
    _pending: deque[Event] = field(default_factory=deque)
    _publishing: bool = False

    def publish(self, event: Event, instance: str = "", epoch: int = 0) -> None:
        """Number an event, keep it, and call the listeners."""
        self.seq += 1
        numbered = msgspec.structs.replace(event, seq=self.seq, instance=instance, epoch=epoch)
        self.events.append(numbered)
        self._pending.append(numbered)
        if not self._publishing:
            self._call_listeners()

    def listen(
        self, listener: Listener, instance: str = "", kinds: Collection[type[Event]] | None = None
    ) -> Callable[[], None]:
        """Add a listener; the returned function removes it.

        :param instance: the one whose events it gets; empty: those of all, and of the farm.
        :param kinds: the types of events that it gets; ``None``: all.
        """
        subscriptions, subscription = self._subscriptions.setdefault(instance, []), _Subscription(listener, kinds)
        subscriptions.append(subscription)
        self._listeners.clear()

        def remove() -> None:
            subscriptions.remove(subscription)
            self._listeners.clear()

        return remove

    def listen_to_batches(self, listener: BatchListener) -> Callable[[], None]:
        """Add a listener to batches; the returned function removes it."""
        self._batch_listeners.append(listener)
        return lambda: self._batch_listeners.remove(listener)

    @property
    def is_publishing(self) -> bool:
        """Listeners are being called: the batch is not complete."""
        return self._publishing

    def of(self, kind: type[E]) -> Iterator[E]:
        """Return the kept events of one type."""
        return (event for event in self.events if isinstance(event, kind))

    def _call_listeners(self) -> None:
        errors: list[Exception] = []
        batch: list[Event] = []
        self._publishing = True
        try:
            while self._pending:
                event = self._pending.popleft()
                batch.append(event)
                _call_each(self._listeners.get((event.instance, type(event))) or self._look_up(event), event, errors)
        finally:
            self._publishing = False
        if self._batch_listeners:
            _call_each(tuple(self._batch_listeners), batch, errors)
        if errors:
            raise errors[0] if len(errors) == 1 else ExceptionGroup("listeners to the log failed", errors)

    def _look_up(self, event: Event) -> tuple[Listener, ...]:
        kind, own = type(event), self._subscriptions.get(event.instance, ()) if event.instance else ()
        found = self._listeners[event.instance, kind] = tuple(
            listener
            for listener, kinds in (*self._subscriptions.get("", ()), *own)
            if kinds is None or kind in kinds
        )
        return found


def _call_each(listeners: Iterable[Callable[[A], None]], argument: A, errors: list[Exception]) -> None:
    """Call the listeners, and add the errors that they raise."""
    for listener in listeners:
        try:
            listener(argument)
        except Exception as error:  # noqa: BLE001 (raised by the caller, after the other listeners)
            errors.append(error)
