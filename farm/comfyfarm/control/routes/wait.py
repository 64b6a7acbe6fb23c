"""Waiting until something is so, instead of asking again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from comfyfarm.units import Duration


@route(endpoints.WAIT)
async def post_wait(farm: Farm, body: WaitBody) -> WaitState | WithStatus:
    """Answer as soon as the farm is idle, so many jobs run or have ended, or an event has happened.

    What is so already is answered at once.  The timeout is real time; when it is up, the answer is 504 and says what
    there was to see instead.
    """
    farm.catch_up()
    look = _Look.of(farm, body)
    if not look.is_met():
        await _until(farm, look, _timeout(body) / 1000)
    seen = look.seen()
    if look.is_over:
        return seen
    return WithStatus(504, _timed_out(farm, body, seen))


async def _until(farm: Farm, look: _Look, timeout_s: float) -> None:
    """Come back when it is met, or time is up."""
    done: Deferred[None] = Deferred()

    def end() -> None:
        if not done.called:
            done.callback(None)

    stop = farm.log.listen(lambda event: end() if look.handles(event) else None)
    timeout = farm.reactor.callLater(timeout_s, end)
    try:
        await done
    finally:
        stop()
        if timeout.active():
            timeout.cancel()


def _timed_out(farm: Farm, body: WaitBody, seen: WaitState) -> WaitTimedOut:
    what = next(f"{key} = {getattr(body, key)}" for key in _CONDITIONS if getattr(body, key) is not None)
    stands = farm.clock_control.is_virtual and farm.clock_control.auto is None
    hint = "; the clock is virtual and stands still until it is moved" if stands else ""
    facts = {name: getattr(seen, name) for name in seen.__struct_fields__}
    return WaitTimedOut(**facts, error=f"after {_timeout(body)} of real time there was no {what}{hint}")


def _timeout(body: WaitBody) -> Duration:
    return _TIMEOUT if body.timeout is None else body.timeout


_TIMEOUT = Duration(30_000)
_CONDITIONS = ("idle", "running", "finished", "event")


@dataclass(eq=False)
class _Look:
    """Looks at a farm until it sees what is waited for.

    :ivar is_over: it was seen.
    :ivar event: the event that was waited for, once it was heard.
    """

    farm: Farm
    body: WaitBody
    backends: dict[str, Backend]
    is_over: bool = False
    event: Event | None = None

    @classmethod
    def of(cls, farm: Farm, body: WaitBody) -> _Look:
        """Begin to look.

        :raises Rejected: where it names what there is none of.
        """
        kind = (body.event or {}).get("kind")
        if kind is not None and kind not in all_kinds():
            raise ApiError(422, f"event.kind: unknown kind {kind!r} (there are: {', '.join(all_kinds())})")
        chosen = farm.backends if body.instance is None else {body.instance: backend_of(farm, body.instance)}
        return cls(farm, body, dict(chosen))

    def is_met(self) -> bool:
        """Whether it is so now, or an event that the log still has was it."""
        if self.body.event is None:
            self.is_over = self._state_is_met()
            return self.is_over
        return any(self.handles(event) for event in tuple(self.farm.log.events))

    def handles(self, event: Event) -> bool:
        """Whether it is so, now that this has happened."""
        if self.body.event is None:
            return self.is_met()
        if event.seq > self.body.since and self._is_meant(event):
            self.event, self.is_over = event, True
        return self.is_over

    def seen(self) -> WaitState:
        """What there is to see."""
        return WaitState(
            met=self.is_over,
            at_ms=self.farm.time.now_ms(),
            seq=self.farm.log.seq,
            running=self._running(),
            pending=sum(len(each.instance.queue.pending) for each in self.backends.values()),
            finished=self._finished(),
            event=None if self.event is None else as_object(self.event),
        )

    def _state_is_met(self) -> bool:
        body = self.body
        if body.idle:
            return not any(each.instance.queue.remaining for each in self.backends.values())
        if body.running is not None:
            return self._running() >= body.running
        return body.finished is not None and self._finished() >= body.finished

    def _running(self) -> int:
        return sum(each.instance.queue.running is not None for each in self.backends.values())

    def _finished(self) -> int:
        return sum(self.farm.analysis.finished[name] for name in self.backends)

    def _is_meant(self, event: Event) -> bool:
        wanted: dict[str, Any] = self.body.event or {}
        if self.body.instance not in (None, event.instance) or wanted.get("kind", kind_of(event)) != kind_of(event):
            return False
        said = as_object(event)
        return all(key in said and said[key] == value for key, value in wanted.items())
