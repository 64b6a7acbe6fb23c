"""The methods of a farm's control clients.

Each is written once, as a function that returns the :class:`Call` to send.  The decorator :func:`method` makes a method
from it, which passes the call to the client's ``_send``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from comfyfarm.clients.analysis_methods import AnalysisMethods
from comfyfarm.clients.control_calls import LONG_S, Call, call, format_duration, format_durations, method
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.farm import ClockState, FarmState, InstanceDetail, InstanceState, WaitState
from comfyfarm.control.schema.faults import FaultList, FaultState, GateList, GateState
from comfyfarm.control.schema.page import ScenarioStarted

_MARGIN_S = 5.0


def _change_clock(**body: Any) -> Call[ClockState]:
    return call(endpoints.CHANGE_CLOCK, body, timeout_s=LONG_S)


class ControlMethods(AnalysisMethods):
    """The methods of all clients.

    Every method raises :class:`~comfyfarm.clients.HttpStatusError` if the farm refuses the request; nothing has changed
    then.  Durations are text as in the configuration (``"10s"``), or seconds.
    """

    @method
    def state(self) -> Call[FarmState]:
        """Return the state of the farm: its ports, clock and instances."""
        return call(endpoints.GET_FARM)

    @method
    def instance(self, name: str) -> Call[InstanceDetail]:
        return call(endpoints.GET_INSTANCE, name=name)

    @method
    def change(self, /, name: str, **settings: Any) -> Call[InstanceDetail]:
        """Change settings while an instance runs; nothing changes if one key is invalid."""
        return call(endpoints.CHANGE_INSTANCE, settings, name=name)

    @method
    def stop(self, name: str) -> Call[InstanceState]:
        """Close the port and all connections of an instance."""
        return call(endpoints.STOP_INSTANCE, name=name)

    @method
    def start(self, name: str) -> Call[InstanceState]:
        """Start a stopped instance, at the same port."""
        return call(endpoints.START_INSTANCE, name=name)

    @method
    def restart(self, name: str) -> Call[InstanceState]:
        """Stop an instance if it runs, and start it."""
        return call(endpoints.RESTART_INSTANCE, name=name)

    @method
    def crash(
        self, name: str, keep: Collection[str] = (), restart_after: str | float | None = None
    ) -> Call[InstanceState]:
        """End an instance's process at once; ``keep``: ``queue``, ``history``, ``uploads``, ``models``."""
        body = {"keep": list(keep), **format_durations(restart_after=restart_after)}
        return call(endpoints.CRASH_INSTANCE, body, name=name)

    @method
    def pause(self, name: str) -> Call[InstanceState]:
        """Suspend the worker of an instance; its server goes on answering."""
        return call(endpoints.PAUSE_INSTANCE, name=name)

    @method
    def resume(self, name: str) -> Call[InstanceState]:
        """Let the worker of a paused instance continue."""
        return call(endpoints.RESUME_INSTANCE, name=name)

    @method
    def drain(self, name: str, *, on: bool = True) -> Call[InstanceState]:
        """Record in the log that the system under test shall send an instance no new work, or again some."""
        return call(endpoints.DRAIN_INSTANCE, {"on": on}, name=name)

    @method
    def reset(self, name: str | None = None, *, files: bool = False) -> Call[None]:
        """Empty queue, history, cache and uploads of one instance, or of all; ``files``: delete output files, too.

        A reset of all begins a new trial.
        """
        if name is None:
            return call(endpoints.RESET, {"files": files}).without_result()
        return call(endpoints.RESET_INSTANCE, {"files": files}, name=name).without_result()

    @method
    def arm(self, /, **table: Any) -> Call[FaultState]:
        """Arm a fault, written as in the configuration: ``arm(do="crash", at="step", on="gpu-1", times=1)``."""
        return call(endpoints.ARM_FAULTS, table).then(lambda armed: armed.faults[0])

    @method
    def arm_all(self, tables: Collection[Mapping[str, Any]]) -> Call[tuple[FaultState, ...]]:
        """Arm several faults; none is armed if one of them is invalid."""
        body = {"faults": [dict(table) for table in tables]}
        return call(endpoints.ARM_FAULTS, body).then(lambda armed: armed.faults)

    @method
    def faults(self) -> Call[FaultList]:
        """Return all faults, also those that have ended, and the ids of those that never fired."""
        return call(endpoints.LIST_FAULTS)

    @method
    def fault(self, fault_id: str) -> Call[FaultState]:
        return call(endpoints.GET_FAULT, fault_id=fault_id)

    @method
    def remove_fault(self, fault_id: str) -> Call[FaultState]:
        """Remove a fault; what it holds continues, and an instance that it keeps down starts."""
        return call(endpoints.REMOVE_FAULT, fault_id=fault_id)

    @method
    def remove_faults(self) -> Call[None]:
        return call(endpoints.REMOVE_FAULTS).without_result()

    @method
    def heal(self) -> Call[None]:
        """Remove all faults, open all gates, and start or resume every instance."""
        return call(endpoints.HEAL).without_result()

    @method
    def start_scenario(self, /, **table: Any) -> Call[ScenarioStarted]:
        """Start a scenario now, written as in the configuration: ``start_scenario(use="F08", on="gpu-1")``."""
        return call(endpoints.START_SCENARIO, table)

    @method
    def as_test(self, form: Literal["pytest", "toml"] = "pytest", trial: str | None = None) -> Call[str]:
        """Return the test, or the configuration, that repeats what was done to the farm in a trial."""
        query = {"format": form, "trial": trial}
        return call(endpoints.GET_TEST, query=query).decoded_by(bytes.decode)

    @method
    def hold(self, /, **table: Any) -> Call[GateState]:
        """Close a gate, written as a fault without ``do``: ``hold(on="gpu-1", at="history")``."""
        return call(endpoints.CLOSE_GATE, table)

    @method
    def gates(self) -> Call[GateList]:
        """Return all gates, also those that have been opened."""
        return call(endpoints.LIST_GATES)

    @method
    def gate(self, gate_id: str) -> Call[GateState]:
        return call(endpoints.GET_GATE, gate_id=gate_id)

    @method
    def release(self, gate_id: str, count: int | None = None) -> Call[GateState]:
        """Release the first ``count`` of what waits at a gate; ``None``: all of it. The gate stays closed."""
        return call(endpoints.RELEASE_GATE, {"count": count}, gate_id=gate_id)

    @method
    def open_gate(self, gate_id: str) -> Call[GateState]:
        """Open a gate for ever, and release all that waits there."""
        return call(endpoints.OPEN_GATE, gate_id=gate_id)

    @method
    def clock(self) -> Call[ClockState]:
        return call(endpoints.GET_CLOCK)

    @method
    def advance(self, duration: str | float) -> Call[ClockState]:
        """Advance a virtual clock; all that was due has happened when this returns."""
        return _change_clock(advance=format_duration(duration))

    @method
    def run_until_idle(self, limit: str | float | None = None) -> Call[ClockState]:
        """Advance a virtual clock until nothing is due, at most by ``limit`` (default: a day)."""
        return _change_clock(run_until_idle=True, **format_durations(limit=limit))

    @method
    def auto(self, on: bool = True, quiet: str | float | None = None) -> Call[ClockState]:
        """Advance a virtual clock to what is due next whenever the sockets were quiet for ``quiet`` (default: 5 ms)."""
        return _change_clock(auto=on, **format_durations(quiet=quiet))

    @method
    def speed(self, speed: float) -> Call[ClockState]:
        """Let simulated time pass ``speed`` times as fast as real time."""
        return _change_clock(speed=speed)

    @method
    def freeze(self, frozen: bool = True) -> Call[ClockState]:
        """Stop the simulated time of a real clock, or let it continue."""
        return _change_clock(freeze=frozen)

    @method
    def wait(self, /, *, timeout_s: float = 30.0, **condition: Any) -> Call[WaitState]:
        """Wait for a condition: ``idle=True``, ``running=n``, ``finished=n`` or ``event={...}``.

        ``instance="gpu-1"`` limits it to one instance, ``since=seq`` to later events.

        :raises TimeoutError: if it is not met in time; the message says what the state was instead.
        """
        body = {**condition, "timeout": format_duration(timeout_s)}
        return call(endpoints.WAIT, body, timeout_s=timeout_s + _MARGIN_S)
