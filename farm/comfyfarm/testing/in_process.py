"""What a test may ask of a farm in its own process, and the faults and gates that it arms there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, Unpack

from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.report.page import RunReport, page
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.control.app import FarmApp
from comfyfarm.control.routes.clock import get_clock
from comfyfarm.control.schema.analysis import DeliveryFacts
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.events.stamp import Stamp
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Firing
from comfyfarm.server.farm import Farm
from comfyfarm.server.fault_controller import FaultController
from comfyfarm.server.live_analysis import read_bounds, read_terms
from comfyfarm.testing.evidence import FaultFirings
from comfyfarm.units import Duration


class InProcessFarm:
    """The base of a fixture's farm in this process.  It answers at once, also after it has been stopped."""

    app: FarmApp

    @property
    def farm(self) -> Farm:
        """The farm itself, without its control server."""
        return self.app.farm

    def verdict(self, **bounds: Any) -> Verdict:
        """What the log proves about the system under test by now: ``farm.verdict(reaction="5s").findings``.

        :param bounds: others than the usual ones (docs/verdict.md); a number for a duration is seconds.
        :raises ConfigError: if there is no such bound.
        """
        return self.evidence.verdict(**bounds)

    def placement(self, **terms: Any) -> Placement:
        """How well its work was placed by now: ``farm.placement().herding.longest``.

        :param terms: others than the usual ones (docs/placement.md); a number for a duration is seconds.
        :raises ConfigError: if there is no such term.
        """
        return self.farm.analysis.placement(read_terms(terms))

    def delivered(self, job: str, **facts: Unpack[DeliveryFacts]) -> Stamp | None:
        """Say that the system under test has handed a result to its user, and return the picture's own stamp.

        :param job: the logical job that the user asked for.
        :param facts: ``prompt_id``, ``instance``, ``file``, as far as they are known; the ``picture``, or instead the
            ``stamp`` that stands in it.  ``None`` is returned if it bears none.
        :raises ValueError: if the stamp is malformed, or there is no such instance.
        """
        return self.farm.analysis.delivered(job, **facts)

    @property
    def log(self) -> Journal:
        """What came, what was sent and what happened, at any moment: ``farm.log.requests(route="/prompt")``."""
        return self.farm.analysis.journal

    @property
    def evidence(self) -> InProcessView:
        """What the farm knows of itself and of who used it."""
        return InProcessView(self.farm)

    def _idle_at(self, *, is_idle: bool) -> int:
        """Return the moment at which the farm came to be idle, in milliseconds.

        :raises TimeoutError: if it is not idle.
        """
        now_ms, next_ms = self.farm.time.now_ms(), self.farm.clock_control.next_ms
        if not is_idle:
            raise TimeoutError(f"the farm is not idle at {now_ms} ms; the next thing is due at {next_ms} ms")
        return now_ms


@dataclass(frozen=True)
class InProcessView:
    """What a farm in this process knows, for assertions and reports."""

    farm: Farm

    def verdict(self, **bounds: Any) -> Verdict:
        """Judge by all that has happened until now."""
        return self.farm.analysis.verdict(read_bounds(bounds))

    def clock(self) -> ClockState:
        """How time passes."""
        return get_clock(self.farm)

    def seed(self) -> int:
        """What decided every draw."""
        assert self.farm.config.farm.seed is not None, "make_farm draws one"
        return self.farm.config.farm.seed

    def faults(self) -> Sequence[FaultFirings]:
        """Those that were armed, in their order."""
        every = [armed for armed in self.farm.registry.armed.values() if not armed.is_private]
        return [FaultFirings.of(armed.fault.id, armed.fault.as_written(), armed.fired) for armed in every]

    def timeline(self) -> str:
        """What each instance did when, in plain text."""
        return as_text(self.farm.analysis.log_analysis().timeline())

    def page(self) -> str:
        """All of it, as one HTML document."""
        return page(RunReport.of(self.farm.analysis.log_analysis()))


@dataclass(eq=False)
class LiveFault:
    """A fault that was armed."""

    fault_controller: FaultController
    armed: ArmedFault

    @classmethod
    def arm(cls, fault_controller: FaultController, table: Mapping[str, Any]) -> Self:
        """Arm what a table describes, as ``[[fault]]`` would.

        :raises ConfigError: if it describes none.
        :raises UnknownFault: if its glob means no instance, or its id is taken.
        """
        return cls(fault_controller, fault_controller.arm(read_fault(table)))

    @property
    def id(self) -> str:
        """Its name."""
        return self.armed.fault.id

    @property
    def fired(self) -> int:
        """How often it has struck, on all its instances."""
        return sum(self.armed.fired.values())

    @property
    def fired_on(self) -> Mapping[str, int]:
        """How often it has struck, by instance."""
        return self.armed.fired

    @property
    def state(self) -> str:
        """``armed``, ``expired``, ``healed`` or ``removed``."""
        return self.armed.state

    def remove(self) -> None:
        """Take it off, unless that has happened."""
        if self.state == "armed" or self.armed.lasts:
            self.fault_controller.remove(self.id)


@dataclass(eq=False)
class LiveGate(LiveFault):
    """A gate that was closed."""

    @property
    def held(self) -> list[Firing]:
        """What waits at it, who came first first: ``.instance``, ``.facts.prompt_id``, ``.at_ms`` of each."""
        return [firing for firing in self.armed.firings if firing.active]

    def release(self, count: int | None = None) -> None:
        """Let go so many, or all that wait now; who comes later is held again."""
        self.fault_controller.release(self.held[:count])


def in_seconds(duration: str | float) -> float:
    """A duration as it is written (``"10s"``), or in seconds already."""
    return Duration.parse(duration) / 1000 if isinstance(duration, str) else duration
