"""The route that waits until the farm is in a state or an event has happened."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from comfyfarm.control.routes.instances import backend_of
from comfyfarm.control.routing import ApiError, WithStatus, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.farm import WaitBody, WaitState, WaitTimedOut
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_object
from comfyfarm.events.filters import all_kinds, kind_of
from comfyfarm.server.backend import Backend
from comfyfarm.server.farm import Farm
from comfyfarm.server.time.turns import in_turns
from comfyfarm.units import Duration

_EVENTS_IN_A_TURN = 500
_TIMEOUT = Duration(30_000)
_CONDITIONS = ("idle", "running", "finished", "event")


@route(endpoints.WAIT)
async def post_wait(farm: Farm, body: WaitBody) -> WaitState | WithStatus:
    """Wait until the farm is idle, a number of jobs run or have ended, or an event has happened.

    If that is so already, the answer comes at once.  The timeout is real time; after it the answer is 504 and has the
    state at that time.
    """
    farm.catch_up()
    condition = _Condition.of(farm, body)
    timeout = _TIMEOUT if body.timeout is None else body.timeout
    is_met = condition.check() if body.event is None else await in_turns(farm.reactor, condition.search())
    if not is_met:
        await _until(farm, condition, timeout / 1000)
    if condition.is_met:
        return condition.state()
    return WithStatus(504, _timed_out(farm, body, timeout, condition.state()))


async def _until(farm: Farm, condition: _Condition, timeout_s: float) -> None:
    """Wait until the condition is met or the time is up."""
    done: Deferred[None] = Deferred()

    def end() -> None:
        if not done.called:
            done.callback(None)

    unsubscribe = farm.log.listen(lambda event: end() if condition.handles(event) else None)
    timeout = farm.reactor.callLater(timeout_s, end)
    try:
        await done
    finally:
        unsubscribe()
        if timeout.active():
            timeout.cancel()


def _timed_out(farm: Farm, body: WaitBody, timeout: Duration, state: WaitState) -> WaitTimedOut:
    what = next(f"{key} = {getattr(body, key)}" for key in _CONDITIONS if getattr(body, key) is not None)
    stands = farm.clock_control.is_virtual and farm.clock_control.auto is None
    hint = "; the clock is virtual and stands still until it is moved" if stands else ""
    error = f"after {timeout} of real time there was no {what}{hint}"
    return WaitTimedOut(**msgspec.structs.asdict(state), error=error)


@dataclass(eq=False)
class _Condition:
    """The condition of one request.

    :ivar backends: the instances that count.
    :ivar is_met: it was met at some time since the request came.
    :ivar event: the event that met it, if it asks for one.
    """

    farm: Farm
    body: WaitBody
    backends: dict[str, Backend]
    is_met: bool = False
    event: Event | None = None

    @classmethod
    def of(cls, farm: Farm, body: WaitBody) -> _Condition:
        """Make the condition of a request; it is not checked yet.

        :raises ApiError: if it names an unknown kind of event or an unknown instance.
        """
        kind = (body.event or {}).get("kind")
        if kind is not None and kind not in all_kinds():
            raise ApiError(422, f"event.kind: unknown kind {kind!r} (there are: {', '.join(all_kinds())})")
        backends = farm.backends if body.instance is None else {body.instance: backend_of(farm, body.instance)}
        return cls(farm, body, dict(backends))

    def check(self) -> bool:
        """Return True if it is met now, and is not about events."""
        self.is_met = self._is_met_now()
        return self.is_met

    def search(self) -> Generator[None, None, bool]:
        """Search the events that the log has kept, also those that are published meanwhile, for one that meets it."""
        seq, log = self.body.since, self.farm.log
        while seq < log.seq:
            for number, event in enumerate([event for event in log.events if event.seq > seq], 1):
                seq = event.seq
                if self.handles(event):
                    return True
                if not number % _EVENTS_IN_A_TURN:
                    yield
        return False

    def handles(self, event: Event) -> bool:
        """Return True if it is met after this event."""
        if self.body.event is None:
            return self.check()
        if event.seq > self.body.since and self._matches(event):
            self.event, self.is_met = event, True
        return self.is_met

    def state(self) -> WaitState:
        return WaitState(
            met=self.is_met,
            at_ms=self.farm.time.now_ms(),
            seq=self.farm.log.seq,
            running=self._running(),
            pending=sum(backend.instance.queue.waiting for backend in self.backends.values()),
            finished=self._finished(),
            event=None if self.event is None else as_object(self.event),
        )

    def _is_met_now(self) -> bool:
        body = self.body
        if body.idle:
            return not any(backend.instance.queue.remaining for backend in self.backends.values())
        if body.running is not None:
            return self._running() >= body.running
        return body.finished is not None and self._finished() >= body.finished

    def _running(self) -> int:
        return sum(backend.instance.queue.running is not None for backend in self.backends.values())

    def _finished(self) -> int:
        return sum(self.farm.analysis.finished[name] for name in self.backends)

    def _matches(self, event: Event) -> bool:
        fields: dict[str, Any] = self.body.event or {}
        if self.body.instance not in (None, event.instance) or fields.get("kind", kind_of(event)) != kind_of(event):
            return False
        values = as_object(event)
        return all(key in values and values[key] == value for key, value in fields.items())
