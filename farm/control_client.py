"""How does Twisted code steer a farm?

Every call is awaited::

    control = FarmControl(farm.control_url)
    await control.advance("10s")                            # clock = "virtual"
    await control.change("gpu-1", timing={"step": "2s"})
    await control.wait(finished=20)
    await control.close()

Elsewhere: :class:`farm.sync_control.SyncFarmControl`, with the same methods.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from treq.client import HTTPClient
from twisted.web.client import Agent, HTTPConnectionPool

from farm import control_calls as calls
from farm import truth_calls
from farm.client import global_reactor
from farm.control.bodies import ClockState, FarmState, InstanceDetail, InstanceState, WaitState
from farm.control.fault_bodies import FaultList, FaultState, GateList, GateState
from farm.control.truth_bodies import DeliveredState, JournalState, TimelineFormat
from farm.ledger.placement.placed import Placement
from farm.ledger.timeline.values import RunTimeline
from farm.ledger.verdict import Verdict
from farm.refused import Refused
from farm.sim.events import Event

__all__ = ["FarmControl"]

A = TypeVar("A")


class FarmControl:
    """A client of a farm's control server.

    Every method raises :class:`~farm.refused.Refused` where the farm says no (nothing has changed then), and
    Twisted's own errors where it does not answer.  Durations are written as in the configuration
    (``"10s"``), or are seconds.
    """

    def __init__(self, base_url: str, *, reactor: Any = None) -> None:
        """Connect to nothing yet; ``reactor`` defaults to the global one."""
        self.base_url = base_url.rstrip("/")
        self._reactor = global_reactor() if reactor is None else reactor
        self._pool = HTTPConnectionPool(self._reactor)
        self._http = HTTPClient(Agent(self._reactor, connectTimeout=10, pool=self._pool))

    async def state(self) -> FarmState:
        """Where everything is and how it goes."""
        return await self._ask(calls.farm_state())

    async def instance(self, name: str) -> InstanceDetail:
        """How one instance goes, with its settings."""
        return await self._ask(calls.instance(name))

    async def change(self, name: str, **settings: Any) -> InstanceDetail:
        """Change settings while an instance runs; one bad key, and nothing changes."""
        return await self._ask(calls.change(name, settings))

    async def stop(self, name: str) -> InstanceState:
        """Close an instance's port and hang up."""
        return await self._ask(calls.instance_do(name, "stop"))

    async def start(self, name: str) -> InstanceState:
        """Let a stopped instance listen again, at the same port."""
        return await self._ask(calls.instance_do(name, "start"))

    async def restart(self, name: str) -> InstanceState:
        """Stop an instance, if it runs, and start it."""
        return await self._ask(calls.instance_do(name, "restart"))

    async def crash(
        self, name: str, keep: Collection[str] = (), restart_after: str | float | None = None
    ) -> InstanceState:
        """Let an instance's process die; ``keep``: ``queue``, ``history``, ``uploads``, ``models``."""
        return await self._ask(calls.crash(name, keep, restart_after))

    async def arm(self, **table: Any) -> FaultState:
        """Arm a fault, written as in the configuration: ``arm(do="crash", at="step", on="gpu-1", times=1)``."""
        return (await self._ask(calls.arm(table))).faults[0]

    async def arm_all(self, tables: Collection[Mapping[str, Any]]) -> tuple[FaultState, ...]:
        """Arm several, or none."""
        return (await self._ask(calls.arm_all(tables))).faults

    async def faults(self) -> FaultList:
        """All faults there are and were, and which never struck."""
        return await self._ask(calls.faults())

    async def fault(self, fault_id: str) -> FaultState:
        """What has become of one fault."""
        return await self._ask(calls.fault(fault_id))

    async def remove_fault(self, fault_id: str) -> FaultState:
        """Take one fault off: what it holds goes on, the instance that it keeps down comes up."""
        return await self._ask(calls.remove_fault(fault_id))

    async def remove_faults(self) -> None:
        """Take all faults off."""
        await self._ask(calls.remove_faults())

    async def heal(self) -> None:
        """Take all faults off, open all gates, have every instance up and at work."""
        await self._ask(calls.heal())

    async def hold(self, **table: Any) -> GateState:
        """Close a gate, written as a fault without ``do``: ``hold(on="gpu-1", at="history")``."""
        return await self._ask(calls.hold(table))

    async def gates(self) -> GateList:
        """All gates there are and were."""
        return await self._ask(calls.gates())

    async def gate(self, gate_id: str) -> GateState:
        """What waits at one gate."""
        return await self._ask(calls.gate(gate_id))

    async def release(self, gate_id: str, count: int | None = None) -> GateState:
        """Let go so many of what waits at a gate, or all that waits now."""
        return await self._ask(calls.release(gate_id, count))

    async def open_gate(self, gate_id: str) -> GateState:
        """Open a gate for good."""
        return await self._ask(calls.open_gate(gate_id))

    async def pause(self, name: str) -> InstanceState:
        """Let an instance's worker take no further step."""
        return await self._ask(calls.instance_do(name, "pause"))

    async def resume(self, name: str) -> InstanceState:
        """Let it go on."""
        return await self._ask(calls.instance_do(name, "resume"))

    async def drain(self, name: str, *, on: bool = True) -> InstanceState:
        """Write down that the system under test shall send an instance no new work, or some again."""
        return await self._ask(truth_calls.drain(name, on=on))

    async def reset(self, name: str | None = None, *, files: bool = False) -> None:
        """Empty queue, history, cache and uploads of one instance, or of all."""
        await self._ask(calls.reset(name, files=files))

    async def clock(self) -> ClockState:
        """How time passes, and what moment it is."""
        return await self._ask(calls.clock())

    async def advance(self, duration: str | float) -> ClockState:
        """Move a virtual clock; all that was due has happened when this ends."""
        return await self._ask(calls.advance(duration))

    async def run_until_idle(self, limit: str | float | None = None) -> ClockState:
        """Move a virtual clock until nothing is due, but not farther than ``limit`` (a day)."""
        return await self._ask(calls.run_until_idle(limit))

    async def auto(self, on: bool = True, quiet: str | float | None = None) -> ClockState:
        """Let a virtual clock jump to what is due next whenever the sockets were ``quiet`` for so long (5 ms)."""
        return await self._ask(calls.auto(on=on, quiet=quiet))

    async def speed(self, speed: float) -> ClockState:
        """Let real time pass so many times as fast."""
        return await self._ask(calls.pass_time(speed=speed))

    async def freeze(self, frozen: bool = True) -> ClockState:
        """Let simulated time stand still on a real clock, or go on."""
        return await self._ask(calls.pass_time(freeze=frozen))

    async def wait(self, *, timeout_s: float = 30.0, **condition: Any) -> WaitState:
        """Wait until ``idle=True``, ``running=n``, ``finished=n`` or ``event={...}`` is so.

        ``instance="gpu-1"`` looks at that one only; ``since=seq`` counts later events only.

        :raises TimeoutError: where it is not so in time; says what there was to see instead.
        """
        try:
            return await self._ask(calls.wait(timeout_s, condition))
        except Refused as why:
            raise calls.as_timeout(why) from None

    async def log(self, **wanted: Any) -> list[dict[str, Any]]:
        """The events of the log, filtered by ``instance``, ``kind``, ``prompt_id``, ``since``, ``limit``."""
        return calls.read_log(await self._exchange(calls.log(wanted)))

    async def events(self, **wanted: Any) -> list[Event]:
        """The same events as values, for a :class:`~farm.ledger.journal.Journal`."""
        return truth_calls.read_events_of(await self._exchange(calls.log(wanted)))

    async def journal(self, **wanted: Any) -> JournalState:
        """The requests that came and the frames that were sent: ``journal(route="/history*", instance="gpu-1")``.

        Filtered by ``instance``, ``prompt_id``, ``client``, ``route``, ``method``, ``status``, ``job``, ``type``,
        ``since``, ``limit``.
        """
        return await self._ask(truth_calls.journal(wanted))

    async def verdict(self, **bounds: Any) -> Verdict:
        """What the log proves about the system under test: ``verdict(reaction="5s")`` for another bound."""
        return await self._ask(truth_calls.verdict(bounds))

    async def placement(self, **terms: Any) -> Placement:
        """How well its work was placed: ``placement(fresh="2s")`` for other terms."""
        return await self._ask(truth_calls.placement(terms))

    async def timeline(self) -> RunTimeline:
        """What each instance did when, as values."""
        return await self._ask(truth_calls.timeline())

    async def timeline_as(self, form: TimelineFormat) -> str:
        """The same drawn (``svg``), for Perfetto (``trace``) or for a terminal (``text``)."""
        return (await self._exchange(truth_calls.timeline_as(form))).decode()

    async def report(self) -> str:
        """Verdict, timeline, placement and faults as one page of HTML."""
        return (await self._exchange(truth_calls.report())).decode()

    async def delivered(self, job: str, *, picture: bytes | None = None, **facts: Any) -> DeliveredState:
        """Say that a result was handed to its user; the answer tells whose the picture is by its own stamp.

        :param facts: ``prompt_id``, ``instance``, ``file``, as far as they are known; ``stamp`` instead of the picture.
        """
        return await self._ask(truth_calls.delivered(job, facts, picture))

    async def close(self) -> None:
        """Leave no connection behind."""
        await self._pool.closeCachedConnections()

    async def _ask(self, call: calls.Call[A]) -> A:
        return call.read(await self._exchange(call))

    async def _exchange(self, call: calls.Call[Any]) -> bytes:
        said = {} if call.body is None else {"json": call.body}
        url = self.base_url + call.path
        asking = self._http.request(call.method, url, reactor=self._reactor, timeout=call.timeout_s, **said)
        response = await asking
        content: bytes = await response.content()
        if response.code >= 400:
            raise Refused(response.code, content)
        return content
