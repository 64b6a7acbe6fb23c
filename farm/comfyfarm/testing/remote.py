"""A farm in another process, by its control server: what a test may ask of it, and the faults and gates it arms."""

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
from comfyfarm.control.schema.analysis import DeliveryFacts
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.control.schema.faults import Held
from comfyfarm.events.stamp import Stamp
from comfyfarm.testing.assertions import BREATH_S, AdvanceClock, Assertions, Within, held
from comfyfarm.testing.claims import Expectation
from comfyfarm.testing.evidence import FaultFirings


class RemoteFarm(Assertions[None]):
    """A farm in another process.

    :ivar control: the client of its control server.
    :ivar _control: a client that the methods here use: it may say more about a farm that does not answer.
    """

    control: SyncFarmControl
    _control: SyncFarmControl
    _stopped = False

    def reset(self, name: str | None = None, *, files: bool = False) -> None:
        """Empty queue, history, cache and uploads of one instance, or of all.

        Output files and the numbers in their names go on, unless ``files``.
        """
        self._control.reset(name, files=files)

    def advance(self, duration: str | float) -> int:
        """Let so much simulated time pass (``"10s"``, or seconds), and give the moment then, in milliseconds.

        The configuration says ``[farm] clock = "virtual"``; all that was due has happened when this returns.

        :raises Refused: if the clock is real.
        """
        return self._control.advance(duration).at_ms

    def run_until_idle(self, limit: str | float | None = None) -> int:
        """Let simulated time pass until nothing is due any more, and give the moment then, in milliseconds.

        :param limit: but not longer than this; ``None``: a day.
        :raises TimeoutError: if something is due even then.
        :raises Refused: if the clock is real.
        """
        state = self._control.run_until_idle(limit)
        if state.next_ms is not None:
            raise TimeoutError(f"the farm is not idle at {state.at_ms} ms; the next thing is due at {state.next_ms} ms")
        return state.at_ms

    @contextmanager
    def fault(self, **table: Any) -> Iterator[RemoteFault]:
        """Arm a fault inside a block: ``with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        Written as ``[[fault]]`` of a configuration; taken off at the end, so that what it holds goes on.

        :raises Refused: if it is no fault, or cannot happen there.
        """
        fault = RemoteFault(self.control, self._control.arm(**table).id)
        with self._removing(fault):
            yield fault

    @contextmanager
    def hold(self, **table: Any) -> Iterator[RemoteGate]:
        """Close a gate inside a block: ``with farm.hold(on="gpu-1", at="history") as gate:``; ``gate.release()``.

        :raises Refused: if nothing can be held there.
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
        """Take all faults off, open all gates, have every instance up and at work."""
        self._control.heal()

    def verdict(self, **bounds: Any) -> Verdict:
        """What the log proves about the system under test by now: ``farm.verdict(reaction="5s").findings``.

        :param bounds: others than the usual ones (docs/verdict.md); a number for a duration is seconds.
        :raises Refused: if there is no such bound.
        """
        return self._control.verdict(**bounds)

    def placement(self, **terms: Any) -> Placement:
        """How well its work was placed by now: ``farm.placement().herding.longest``.

        :param terms: others than the usual ones (docs/placement.md); a number for a duration is seconds.
        :raises Refused: if there is no such term.
        """
        return self._control.placement(**terms)

    def delivered(self, job: str, **facts: Unpack[DeliveryFacts]) -> Stamp | None:
        """Say that the system under test has handed a result to its user, and return the picture's own stamp.

        :param job: the logical job that the user asked for.
        :param facts: ``prompt_id``, ``instance``, ``file``, as far as they are known; the ``picture``, or instead the
            ``stamp`` that stands in it.  ``None`` is returned if it bears none.
        :raises Refused: if the stamp is malformed, or there is no such instance.
        """
        return self._control.delivered(job, **facts).stamp

    @property
    def log(self) -> Journal:
        """What came, what was sent and what happened until now: ``farm.log.requests(route="/prompt")``."""
        return Journal(self._control.events())

    @property
    def evidence(self) -> RemoteView:
        """What the farm knows of itself and of who used it."""
        return RemoteView(self.control)

    def _hold(self, claim: Expectation, within: Within) -> None:
        __tracebackhide__ = True
        for step in held(claim, RemoteView(self._control), within, time.monotonic):
            if isinstance(step, AdvanceClock):
                self._control.advance(step.by_ms / 1000)
            time.sleep(BREATH_S if isinstance(step, AdvanceClock) else step.for_s)


@dataclass(frozen=True)
class RemoteView:
    """What a farm in another process knows, for assertions and reports."""

    control: SyncFarmControl

    def verdict(self, **bounds: Any) -> Verdict:
        """Judge by all that has happened until now."""
        return self.control.verdict(**bounds)

    def clock(self) -> ClockState:
        """How time passes."""
        return self.control.clock()

    def seed(self) -> int:
        """What decided every draw."""
        return self.control.state().seed

    def faults(self) -> Sequence[FaultFirings]:
        """Those that were armed, in their order."""
        return [FaultFirings.of(fault.id, fault.fault, fault.fired) for fault in self.control.faults().faults]

    def timeline(self) -> str:
        """What each instance did when, in plain text."""
        return self.control.timeline_as("text")

    def page(self) -> str:
        """All of it, as one HTML document."""
        return self.control.report()


@dataclass(frozen=True)
class RemoteFault:
    """A fault that was armed; each look at it asks the farm."""

    control: SyncFarmControl
    id: str

    @property
    def fired(self) -> int:
        """How often it has struck, on all its instances."""
        return sum(self.fired_on.values())

    @property
    def fired_on(self) -> Mapping[str, int]:
        """How often it has struck, by instance."""
        return self.control.fault(self.id).fired

    @property
    def state(self) -> str:
        """``armed``, ``expired``, ``healed`` or ``removed``."""
        return self.control.fault(self.id).state

    def remove(self) -> None:
        """Take it off."""
        self.control.remove_fault(self.id)


@dataclass(frozen=True)
class RemoteGate(RemoteFault):
    """A gate that was closed; each look at it asks the farm."""

    @property
    def held(self) -> tuple[Held, ...]:
        """What waits at it, who came first first."""
        return self.control.gate(self.id).held

    def release(self, count: int | None = None) -> None:
        """Let go so many, or all that wait now; who comes later is held again."""
        self.control.release(self.id, count)
