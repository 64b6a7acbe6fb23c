"""How does plain, synchronous code steer a farm?

Every call blocks until the farm has answered::

    control = SyncFarmControl(farm.control_url)
    control.advance("10s")                                  # clock = "virtual"
    control.change("gpu-1", timing={"step": "2s"})
    control.wait(finished=20)

In Twisted: :class:`farm.control_client.FarmControl`, with the same methods.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from farm import control_calls as calls
from farm import truth_calls
from farm.control.bodies import ClockState, FarmState, InstanceDetail, InstanceState, WaitState
from farm.control.fault_bodies import FaultList, FaultState, GateList, GateState
from farm.control.truth_bodies import DeliveredState, JournalState, TimelineFormat
from farm.ledger.placement.placed import Placement
from farm.ledger.timeline.values import RunTimeline
from farm.ledger.verdict import Verdict
from farm.refused import Refused
from farm.sim.events import Event
from farm.sync_client import ask

__all__ = ["SyncFarmControl"]

A = TypeVar("A")


class SyncFarmControl:
    """A client of a farm's control server.

    Every method raises :class:`~farm.refused.Refused` where the farm says no (nothing has changed then), and
    ``OSError`` where it does not answer.  Durations are written as in the configuration (``"10s"``), or are seconds.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    def state(self) -> FarmState:
        """Where everything is and how it goes."""
        return self._ask(calls.farm_state())

    def instance(self, name: str) -> InstanceDetail:
        """How one instance goes, with its settings."""
        return self._ask(calls.instance(name))

    def change(self, name: str, **settings: Any) -> InstanceDetail:
        """Change settings while an instance runs; one bad key, and nothing changes."""
        return self._ask(calls.change(name, settings))

    def stop(self, name: str) -> InstanceState:
        """Close an instance's port and hang up."""
        return self._ask(calls.instance_do(name, "stop"))

    def start(self, name: str) -> InstanceState:
        """Let a stopped instance listen again, at the same port."""
        return self._ask(calls.instance_do(name, "start"))

    def restart(self, name: str) -> InstanceState:
        """Stop an instance, if it runs, and start it."""
        return self._ask(calls.instance_do(name, "restart"))

    def crash(
        self, name: str, keep: Collection[str] = (), restart_after: str | float | None = None
    ) -> InstanceState:
        """Let an instance's process die; ``keep``: ``queue``, ``history``, ``uploads``, ``models``."""
        return self._ask(calls.crash(name, keep, restart_after))

    def arm(self, **table: Any) -> FaultState:
        """Arm a fault, written as in the configuration: ``arm(do="crash", at="step", on="gpu-1", times=1)``."""
        return self._ask(calls.arm(table)).faults[0]

    def arm_all(self, tables: Collection[Mapping[str, Any]]) -> tuple[FaultState, ...]:
        """Arm several, or none."""
        return self._ask(calls.arm_all(tables)).faults

    def faults(self) -> FaultList:
        """All faults there are and were, and which never struck."""
        return self._ask(calls.faults())

    def fault(self, fault_id: str) -> FaultState:
        """What has become of one fault."""
        return self._ask(calls.fault(fault_id))

    def remove_fault(self, fault_id: str) -> FaultState:
        """Take one fault off: what it holds goes on, the instance that it keeps down comes up."""
        return self._ask(calls.remove_fault(fault_id))

    def remove_faults(self) -> None:
        """Take all faults off."""
        self._ask(calls.remove_faults())

    def heal(self) -> None:
        """Take all faults off, open all gates, have every instance up and at work."""
        self._ask(calls.heal())

    def hold(self, **table: Any) -> GateState:
        """Close a gate, written as a fault without ``do``: ``hold(on="gpu-1", at="history")``."""
        return self._ask(calls.hold(table))

    def gates(self) -> GateList:
        """All gates there are and were."""
        return self._ask(calls.gates())

    def gate(self, gate_id: str) -> GateState:
        """What waits at one gate."""
        return self._ask(calls.gate(gate_id))

    def release(self, gate_id: str, count: int | None = None) -> GateState:
        """Let go so many of what waits at a gate, or all that waits now."""
        return self._ask(calls.release(gate_id, count))

    def open_gate(self, gate_id: str) -> GateState:
        """Open a gate for good."""
        return self._ask(calls.open_gate(gate_id))

    def pause(self, name: str) -> InstanceState:
        """Let an instance's worker take no further step."""
        return self._ask(calls.instance_do(name, "pause"))

    def resume(self, name: str) -> InstanceState:
        """Let it go on."""
        return self._ask(calls.instance_do(name, "resume"))

    def drain(self, name: str, *, on: bool = True) -> InstanceState:
        """Write down that the system under test shall send an instance no new work, or some again."""
        return self._ask(truth_calls.drain(name, on=on))

    def reset(self, name: str | None = None, *, files: bool = False) -> None:
        """Empty queue, history, cache and uploads of one instance, or of all."""
        self._ask(calls.reset(name, files=files))

    def clock(self) -> ClockState:
        """How time passes, and what moment it is."""
        return self._ask(calls.clock())

    def advance(self, duration: str | float) -> ClockState:
        """Move a virtual clock; all that was due has happened when this returns."""
        return self._ask(calls.advance(duration))

    def run_until_idle(self, limit: str | float | None = None) -> ClockState:
        """Move a virtual clock until nothing is due, but not farther than ``limit`` (a day)."""
        return self._ask(calls.run_until_idle(limit))

    def auto(self, on: bool = True, quiet: str | float | None = None) -> ClockState:
        """Let a virtual clock jump to what is due next whenever the sockets were ``quiet`` for so long (5 ms)."""
        return self._ask(calls.auto(on=on, quiet=quiet))

    def speed(self, speed: float) -> ClockState:
        """Let real time pass so many times as fast."""
        return self._ask(calls.pass_time(speed=speed))

    def freeze(self, frozen: bool = True) -> ClockState:
        """Let simulated time stand still on a real clock, or go on."""
        return self._ask(calls.pass_time(freeze=frozen))

    def wait(self, *, timeout_s: float = 30.0, **condition: Any) -> WaitState:
        """Block until ``idle=True``, ``running=n``, ``finished=n`` or ``event={...}`` is so.

        ``instance="gpu-1"`` looks at that one only; ``since=seq`` counts later events only.

        :raises TimeoutError: where it is not so in time; says what there was to see instead.
        """
        try:
            return self._ask(calls.wait(timeout_s, condition))
        except Refused as why:
            raise calls.as_timeout(why) from None

    def log(self, **wanted: Any) -> list[dict[str, Any]]:
        """The events of the log, filtered by ``instance``, ``kind``, ``prompt_id``, ``since``, ``limit``."""
        return calls.read_log(self._exchange(calls.log(wanted)))

    def events(self, **wanted: Any) -> list[Event]:
        """The same events as values, for a :class:`~farm.ledger.journal.Journal`."""
        return truth_calls.read_events_of(self._exchange(calls.log(wanted)))

    def journal(self, **wanted: Any) -> JournalState:
        """The requests that came and the frames that were sent: ``journal(route="/history*", instance="gpu-1")``.

        Filtered by ``instance``, ``prompt_id``, ``client``, ``route``, ``method``, ``status``, ``job``, ``type``,
        ``since``, ``limit``.
        """
        return self._ask(truth_calls.journal(wanted))

    def verdict(self, **bounds: Any) -> Verdict:
        """What the log proves about the system under test: ``verdict(reaction="5s")`` for another bound."""
        return self._ask(truth_calls.verdict(bounds))

    def placement(self, **terms: Any) -> Placement:
        """How well its work was placed: ``placement(fresh="2s")`` for other terms."""
        return self._ask(truth_calls.placement(terms))

    def timeline(self) -> RunTimeline:
        """What each instance did when, as values."""
        return self._ask(truth_calls.timeline())

    def timeline_as(self, form: TimelineFormat) -> str:
        """The same drawn (``svg``), for Perfetto (``trace``) or for a terminal (``text``)."""
        return self._exchange(truth_calls.timeline_as(form)).decode()

    def report(self) -> str:
        """Verdict, timeline, placement and faults as one page of HTML."""
        return self._exchange(truth_calls.report()).decode()

    def delivered(self, job: str, *, picture: bytes | None = None, **facts: Any) -> DeliveredState:
        """Say that a result was handed to its user; the answer tells whose the picture is by its own stamp.

        :param facts: ``prompt_id``, ``instance``, ``file``, as far as they are known; ``stamp`` instead of the picture.
        """
        return self._ask(truth_calls.delivered(job, facts, picture))

    def _ask(self, call: calls.Call[A]) -> A:
        return call.read(self._exchange(call))

    def _exchange(self, call: calls.Call[Any]) -> bytes:
        return ask(call.method, self.base_url + call.path, call.body, call.timeout_s)
