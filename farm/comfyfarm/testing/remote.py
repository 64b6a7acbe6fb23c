"""A farm in another process, used through its control server, and the faults and gates that a test arms there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Unpack

from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.clients.control import SyncFarmControl
from comfyfarm.control.schema.analysis import DeliveryFacts, OrderReport, TrialFacts
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.control.schema.faults import Held
from comfyfarm.events.stamp import Stamp
from comfyfarm.testing.assertions import JudgedFarm
from comfyfarm.testing.expectations import Expectation
from comfyfarm.testing.view import WHICH, FaultFirings
from comfyfarm.testing.waiting import Within


class RemoteFarm(JudgedFarm[None]):
    """A farm in another process.

    :ivar control: a client of the control server.
    :ivar _control: the client that the methods here use; its errors may say more if the farm does not answer.
    """

    control: SyncFarmControl
    _control: SyncFarmControl
    _stopped = False

    def __init__(self, control_url: str, token: str | None = None) -> None:
        self.control = self._control = SyncFarmControl(control_url, token)

    def reset(self, name: str | None = None, *, files: bool = False) -> None:
        """Empty queue, history, cache and uploads of one instance, or of all; the latter begins a new trial.

        Output files stay, and the numbers in their names continue, unless ``files`` is true.
        """
        self._control.reset(name, files=files)

    def advance(self, duration: str | float) -> int:
        """Advance the clock (``"10s"``, or seconds), and return the simulated time in milliseconds.

        All that was due has happened when this returns.

        :raises HttpStatusError: unless the configuration says ``[farm] clock = "virtual"``.
        """
        return self._control.advance(duration).at_ms

    def run_until_idle(self, limit: str | float | None = None) -> int:
        """Advance the clock until nothing is due, and return the simulated time in milliseconds.

        :param limit: the longest time to advance; ``None``: a day.
        :raises TimeoutError: if something is still due then.
        :raises HttpStatusError: unless the configuration says ``[farm] clock = "virtual"``.
        """
        state = self._control.run_until_idle(limit)
        if state.next_ms is not None:
            raise TimeoutError(f"the farm is not idle at {state.at_ms} ms; the next thing is due at {state.next_ms} ms")
        return state.at_ms

    @contextmanager
    def fault(self, **table: Any) -> Iterator[RemoteFault]:
        """Arm a fault inside a block: ``with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        It is written as ``[[fault]]`` of a configuration; at the end of the block it is removed, and what it holds
        continues.

        :raises HttpStatusError: if it is no fault, or cannot fire at that phase.
        """
        fault = RemoteFault(self.control, self._control.arm(**table).id)
        with self._removing(fault):
            yield fault

    @contextmanager
    def hold(self, **table: Any) -> Iterator[RemoteGate]:
        """Close a gate inside a block: ``with farm.hold(on="gpu-1", at="history") as gate:``; ``gate.release()``.

        :raises HttpStatusError: if nothing can be held at that phase.
        """
        gate = RemoteGate(self.control, self._control.hold(**table).id)
        with self._removing(gate):
            yield gate

    @contextmanager
    def _removing(self, fault: RemoteFault) -> Iterator[None]:
        try:
            yield
        finally:
            if not self._stopped:
                self._control.remove_fault(fault.id)

    def heal(self) -> None:
        """Remove all faults, open all gates, and start or resume every instance."""
        self._control.heal()

    @property
    def evidence(self) -> RemoteView:
        return RemoteView(self.control, self._own_trial)

    def _view(self) -> RemoteView:
        return RemoteView(self._control, self._own_trial)

    def _expect(self, expectation: Expectation, within: Within) -> None:
        __tracebackhide__ = True
        for step in self._steps(expectation, within, time.monotonic):
            if step.advance_ms:
                self._control.advance(step.advance_ms / 1000)
            time.sleep(step.pause_s)


def attach_farm(control_url: str, token: str | None = None) -> RemoteFarm:
    """Return a farm that runs already, such as that of a compose file or of another test process.

    :param control_url: the URL of its control server; it may hold the token, as the farm's log shows it.
    :param token: the farm's control token; ``None``: it needs none, or the URL has it.
    """
    return RemoteFarm(control_url, token)


@dataclass(frozen=True)
class RemoteView:
    """The view of a farm in another process.

    :ivar own_trial: the name of a trial side by side with others; ``None`` for the current trial.
    """

    control: SyncFarmControl
    own_trial: str | None = None

    def verdict(self, **settings: Any) -> Verdict:
        return self.control.verdict(**self._which(settings))

    def placement(self, **settings: Any) -> Placement:
        return self.control.placement(**self._which(settings))

    def _which(self, settings: dict[str, Any]) -> dict[str, Any]:
        return settings if settings.keys() & WHICH else {"trial": self.own_trial, **settings}

    def trial(self, name: str | None, **facts: Unpack[TrialFacts]) -> str:
        return self.control.trial(name, **facts).name

    def report_orders(self, *reports: OrderReport) -> None:
        self.control.report_orders(*reports)

    def delivered(self, job: str, **facts: Unpack[DeliveryFacts]) -> Stamp | None:
        return self.control.delivered(job, **facts).stamp

    def journal(self) -> Journal:
        return Journal(self.control.events(trial=self.own_trial or self.control.state().trial))

    def clock(self) -> ClockState:
        return self.control.clock()

    def seed(self) -> int:
        return self.control.state().seed

    def faults(self) -> Sequence[FaultFirings]:
        return [FaultFirings.of(fault.id, fault.fault, fault.fired) for fault in self.control.faults().faults]

    def timeline(self) -> str:
        return self.control.timeline_as("text", trial=self.own_trial)

    def page(self) -> str:
        return self.control.report(trial=self.own_trial)


@dataclass(frozen=True)
class RemoteFault:
    """A fault that the test has armed; each property is requested from the farm."""

    control: SyncFarmControl
    id: str

    @property
    def fired(self) -> int:
        """The number of firings on all instances."""
        return sum(self.fired_on.values())

    @property
    def fired_on(self) -> Mapping[str, int]:
        """The number of firings by instance."""
        return self.control.fault(self.id).fired

    @property
    def state(self) -> str:
        """``armed``, ``expired``, ``healed`` or ``removed``."""
        return self.control.fault(self.id).state

    def remove(self) -> None:
        self.control.remove_fault(self.id)


@dataclass(frozen=True)
class RemoteGate(RemoteFault):
    """A gate that the test has closed; each property is requested from the farm."""

    @property
    def held(self) -> tuple[Held, ...]:
        """What waits at the gate, in the order of arrival."""
        return self.control.gate(self.id).held

    def release(self, count: int | None = None) -> None:
        """Release the first ``count`` of what waits now; ``None``: all of it.  The gate stays closed."""
        self.control.release(self.id, count)
