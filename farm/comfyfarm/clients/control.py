"""Clients of a farm's control server: :class:`SyncFarmControl` blocks, :class:`FarmControl` is for Twisted.

Both have the same methods::

    control = SyncFarmControl(farm.control_url)             control = FarmControl(farm.control_url)
    control.advance("10s")                                  await control.advance("10s")
    control.change("gpu-1", timing={"step": "2s"})          await control.change("gpu-1", timing={"step": "2s"})
    control.wait(finished=20)                               await control.wait(finished=20)
                                                            await control.close()

Each method is written once, in :class:`ControlMethods`, as a function that returns the :class:`Call` to make.  The
decorator :func:`method` makes a method of it that passes the call to the client's ``_send``, which either blocks or is
awaited.
"""

from __future__ import annotations

import inspect
from base64 import b64encode
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.thresholds import as_table
from comfyfarm.analysis.timeline.values import RunTimeline
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.clients.comfy_sync import ask
from comfyfarm.clients.control_calls import LONG_S, Call, as_events, as_objects, call, durations, written
from comfyfarm.clients.errors import HttpStatusError
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.analysis import DeliveredState, DeliveryFacts, JournalState, TimelineFormat
from comfyfarm.control.schema.farm import ClockState, FarmState, InstanceDetail, InstanceState, WaitState
from comfyfarm.control.schema.faults import FaultList, FaultState, GateList, GateState
from comfyfarm.events import Event

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")

_MARGIN_S = 5.0


class Method(Protocol[P, A_co]):
    """A method of both clients: one returns its result, the other a coroutine."""

    @overload
    def __get__(self, client: SyncFarmControl, owner: type) -> Callable[P, A_co]: ...
    @overload
    def __get__(self, client: FarmControl, owner: type) -> Callable[P, Coroutine[Any, Any, A_co]]: ...


def method(make: Callable[Concatenate[Any, P], Call[A]]) -> Method[P, A]:
    """Make a method that sends the call that a function makes; ``help()`` shows the function's text and parameters."""

    @wraps(make)
    def send(self: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        return self._send(make(self, *args, **kwargs))

    signature = inspect.signature(make)
    result = signature.return_annotation.removeprefix("Call[").removesuffix("]")
    vars(send)["__signature__"] = signature.replace(return_annotation=result)
    return cast("Method[P, A]", send)


def _move(**body: Any) -> Call[ClockState]:
    return call(endpoints.CHANGE_CLOCK, body, timeout_s=LONG_S)


def _done(request: Call[Any]) -> Call[None]:
    return request.then(lambda _: None)


class ControlMethods:
    """What can be asked of a farm.

    Every method raises :class:`~comfyfarm.clients.errors.HttpStatusError` if the farm says no; nothing has changed
    then. Durations are written as in the configuration (``"10s"``), or are seconds.
    """

    @method
    def state(self) -> Call[FarmState]:
        """Where everything is and how it goes."""
        return call(endpoints.GET_FARM)

    @method
    def instance(self, name: str) -> Call[InstanceDetail]:
        """How one instance goes, with its settings."""
        return call(endpoints.GET_INSTANCE, name=name)

    @method
    def change(self, /, name: str, **settings: Any) -> Call[InstanceDetail]:
        """Change settings while an instance runs; one bad key, and nothing changes."""
        return call(endpoints.CHANGE_INSTANCE, settings, name=name)

    @method
    def stop(self, name: str) -> Call[InstanceState]:
        """Close an instance's port and hang up."""
        return call(endpoints.STOP_INSTANCE, name=name)

    @method
    def start(self, name: str) -> Call[InstanceState]:
        """Let a stopped instance listen again, at the same port."""
        return call(endpoints.START_INSTANCE, name=name)

    @method
    def restart(self, name: str) -> Call[InstanceState]:
        """Stop an instance, if it runs, and start it."""
        return call(endpoints.RESTART_INSTANCE, name=name)

    @method
    def crash(
        self, name: str, keep: Collection[str] = (), restart_after: str | float | None = None
    ) -> Call[InstanceState]:
        """Let an instance's process die; ``keep``: ``queue``, ``history``, ``uploads``, ``models``."""
        return call(endpoints.CRASH_INSTANCE, {"keep": list(keep), **durations(restart_after=restart_after)}, name=name)

    @method
    def pause(self, name: str) -> Call[InstanceState]:
        """Let an instance's worker take no further step."""
        return call(endpoints.PAUSE_INSTANCE, name=name)

    @method
    def resume(self, name: str) -> Call[InstanceState]:
        """Let it go on."""
        return call(endpoints.RESUME_INSTANCE, name=name)

    @method
    def drain(self, name: str, *, on: bool = True) -> Call[InstanceState]:
        """Write down that the system under test shall send an instance no new work, or some again."""
        return call(endpoints.DRAIN_INSTANCE, {"on": on}, name=name)

    @method
    def reset(self, name: str | None = None, *, files: bool = False) -> Call[None]:
        """Empty queue, history, cache and uploads of one instance, or of all."""
        if name is None:
            return _done(call(endpoints.RESET, {"files": files}))
        return _done(call(endpoints.RESET_INSTANCE, {"files": files}, name=name))

    @method
    def arm(self, /, **table: Any) -> Call[FaultState]:
        """Arm a fault, written as in the configuration: ``arm(do="crash", at="step", on="gpu-1", times=1)``."""
        return call(endpoints.ARM_FAULTS, table).then(lambda armed: armed.faults[0])

    @method
    def arm_all(self, tables: Collection[Mapping[str, Any]]) -> Call[tuple[FaultState, ...]]:
        """Arm several, or none."""
        body = {"faults": [dict(table) for table in tables]}
        return call(endpoints.ARM_FAULTS, body).then(lambda armed: armed.faults)

    @method
    def faults(self) -> Call[FaultList]:
        """All faults there are and were, and which never struck."""
        return call(endpoints.LIST_FAULTS)

    @method
    def fault(self, fault_id: str) -> Call[FaultState]:
        """What has become of one fault."""
        return call(endpoints.GET_FAULT, fault_id=fault_id)

    @method
    def remove_fault(self, fault_id: str) -> Call[FaultState]:
        """Take one fault off: what it holds goes on, the instance that it keeps down comes up."""
        return call(endpoints.REMOVE_FAULT, fault_id=fault_id)

    @method
    def remove_faults(self) -> Call[None]:
        """Take all faults off."""
        return _done(call(endpoints.REMOVE_FAULTS))

    @method
    def heal(self) -> Call[None]:
        """Take all faults off, open all gates, have every instance up and at work."""
        return _done(call(endpoints.HEAL))

    @method
    def hold(self, /, **table: Any) -> Call[GateState]:
        """Close a gate, written as a fault without ``do``: ``hold(on="gpu-1", at="history")``."""
        return call(endpoints.CLOSE_GATE, table)

    @method
    def gates(self) -> Call[GateList]:
        """All gates there are and were."""
        return call(endpoints.LIST_GATES)

    @method
    def gate(self, gate_id: str) -> Call[GateState]:
        """What waits at one gate."""
        return call(endpoints.GET_GATE, gate_id=gate_id)

    @method
    def release(self, gate_id: str, count: int | None = None) -> Call[GateState]:
        """Let go so many of what waits at a gate, or all that waits now."""
        return call(endpoints.RELEASE_GATE, {"count": count}, gate_id=gate_id)

    @method
    def open_gate(self, gate_id: str) -> Call[GateState]:
        """Open a gate for good."""
        return call(endpoints.OPEN_GATE, gate_id=gate_id)

    @method
    def clock(self) -> Call[ClockState]:
        """How time passes, and what moment it is."""
        return call(endpoints.GET_CLOCK)

    @method
    def advance(self, duration: str | float) -> Call[ClockState]:
        """Move a virtual clock; all that was due has happened when this returns."""
        return _move(advance=written(duration))

    @method
    def run_until_idle(self, limit: str | float | None = None) -> Call[ClockState]:
        """Move a virtual clock until nothing is due, but not farther than ``limit`` (a day)."""
        return _move(run_until_idle=True, **durations(limit=limit))

    @method
    def auto(self, on: bool = True, quiet: str | float | None = None) -> Call[ClockState]:
        """Let a virtual clock jump to what is due next whenever the sockets were ``quiet`` for so long (5 ms)."""
        return _move(auto=on, **durations(quiet=quiet))

    @method
    def speed(self, speed: float) -> Call[ClockState]:
        """Let real time pass so many times as fast."""
        return _move(speed=speed)

    @method
    def freeze(self, frozen: bool = True) -> Call[ClockState]:
        """Let simulated time stand still on a real clock, or go on."""
        return _move(freeze=frozen)

    @method
    def wait(self, /, *, timeout_s: float = 30.0, **condition: Any) -> Call[WaitState]:
        """Wait until ``idle=True``, ``running=n``, ``finished=n`` or ``event={...}`` is so.

        ``instance="gpu-1"`` looks at that one only; ``since=seq`` counts later events only.

        :raises TimeoutError: if it is not so in time; says what there was to see instead.
        """
        body = {**condition, "timeout": written(timeout_s)}
        return call(endpoints.WAIT, body, timeout_s=timeout_s + _MARGIN_S)

    @method
    def log(self, /, **wanted: Any) -> Call[list[dict[str, Any]]]:
        """The events of the log, filtered by ``instance``, ``kind``, ``prompt_id``, ``since``, ``limit``."""
        return call(endpoints.GET_LOG, query=wanted, timeout_s=LONG_S).decoded_by(as_objects)

    @method
    def events(self, /, **wanted: Any) -> Call[list[Event]]:
        """The same events as values, for a :class:`~comfyfarm.analysis.journal.Journal`."""
        return call(endpoints.GET_LOG, query=wanted, timeout_s=LONG_S).decoded_by(as_events)

    @method
    def journal(self, /, **wanted: Any) -> Call[JournalState]:
        """The requests that came and the frames that were sent: ``journal(route="/history*", instance="gpu-1")``.

        Filtered by ``instance``, ``prompt_id``, ``client``, ``route``, ``method``, ``status``, ``job``, ``type``,
        ``since``, ``limit``.
        """
        return call(endpoints.GET_JOURNAL, query=wanted, timeout_s=LONG_S)

    @method
    def verdict(self, /, **bounds: Any) -> Call[Verdict]:
        """What the log proves about the system under test: ``verdict(reaction="5s")`` for another bound."""
        return call(endpoints.GET_VERDICT, query=as_table(Thresholds, bounds), timeout_s=LONG_S)

    @method
    def placement(self, /, **terms: Any) -> Call[Placement]:
        """How well its work was placed: ``placement(fresh="2s")`` for other terms."""
        return call(endpoints.GET_PLACEMENT, query=as_table(PlacementThresholds, terms), timeout_s=LONG_S)

    @method
    def timeline(self) -> Call[RunTimeline]:
        """What each instance did when, as values."""
        return call(endpoints.GET_TIMELINE, timeout_s=LONG_S)

    @method
    def timeline_as(self, form: TimelineFormat) -> Call[str]:
        """The same drawn (``svg``), for Perfetto (``trace``) or for a terminal (``text``)."""
        return call(endpoints.GET_TIMELINE, query={"format": form}, timeout_s=LONG_S).decoded_by(bytes.decode)

    @method
    def report(self) -> Call[str]:
        """Verdict, timeline, placement and faults as one page of HTML."""
        return call(endpoints.GET_REPORT, timeout_s=LONG_S).decoded_by(bytes.decode)

    @method
    def delivered(self, /, job: str, **facts: Unpack[DeliveryFacts]) -> Call[DeliveredState]:
        """Say that a result was handed to its user; the answer tells whose the picture is by its own stamp.

        :param facts: ``prompt_id``, ``instance``, ``file``, as far as they are known; the ``picture``, or instead the
            ``stamp`` that stands in it.
        """
        picture = facts.get("picture")
        shown = {} if picture is None else {"picture": b64encode(picture).decode()}
        return call(endpoints.TELL_DELIVERED, {"job": job, **facts, **shown})


class SyncFarmControl(ControlMethods):
    """A client of a farm's control server that blocks until the farm has answered.

    Every method raises ``OSError`` if the farm does not answer.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    def _send(self, request: Call[A]) -> A:
        try:
            content = ask(request.endpoint.method, self.base_url + request.path, request.body, request.timeout_s)
        except HttpStatusError as refused:
            raise request.error(refused) from None
        return request.decode(content)


class FarmControl(ControlMethods):
    """A client of a farm's control server for Twisted: every method is awaited.

    Every method raises Twisted's own errors if the farm does not answer.
    """

    def __init__(self, base_url: str, *, reactor: Any = None) -> None:
        """Connect to nothing yet; ``reactor`` defaults to the global one."""
        from treq.client import HTTPClient
        from twisted.web.client import Agent, HTTPConnectionPool

        from comfyfarm.clients.comfy import global_reactor

        self.base_url = base_url.rstrip("/")
        self._reactor = global_reactor() if reactor is None else reactor
        self._pool = HTTPConnectionPool(self._reactor)
        self._http = HTTPClient(Agent(self._reactor, connectTimeout=10, pool=self._pool))

    async def close(self) -> None:
        """Leave no connection behind."""
        await self._pool.closeCachedConnections()

    async def _send(self, request: Call[A]) -> A:
        said: dict[str, Any] = {} if request.body is None else {"json": request.body}
        url = self.base_url + request.path
        response = await self._http.request(
            request.endpoint.method, url, reactor=self._reactor, timeout=request.timeout_s, **said
        )
        content: bytes = await response.content()
        if response.code >= 400:
            raise request.error(HttpStatusError(response.code, content))
        return request.decode(content)
