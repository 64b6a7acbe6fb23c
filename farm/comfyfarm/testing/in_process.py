"""The base of farms in the test's own process, and the faults and gates that a test arms there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar, Unpack

import msgspec

from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.report.page import page
from comfyfarm.analysis.thresholds import Thresholds, as_table
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.config import FarmConfig, Overrides, load
from comfyfarm.config.decoding import decode_alone
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.sources import ConfigSource, config_file
from comfyfarm.control.app import FarmApp
from comfyfarm.control.routes.clock import get_clock
from comfyfarm.control.schema.analysis import DeliveryFacts, OrderReport, TrialFacts
from comfyfarm.control.schema.farm import ClockState
from comfyfarm.events.stamp import Stamp
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.fault import Firing
from comfyfarm.server.farm import Farm
from comfyfarm.server.fault_controller import FaultController
from comfyfarm.server.time.turns import at_once
from comfyfarm.testing.assertions import JudgedFarm
from comfyfarm.testing.view import WHICH, FaultFirings
from comfyfarm.units import Duration

R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)


def as_config(config: ConfigSource | FarmConfig) -> FarmConfig:
    """Return the configuration that a path, a dictionary or TOML text describes.

    :raises ConfigError: if it does not describe a farm.
    """
    if isinstance(config, FarmConfig):
        return config
    with TemporaryDirectory() as folder:
        return load(config_file(config, Path(folder)), Overrides(control_port=0))


@dataclass(eq=False, repr=False)
class InProcessFarm(JudgedFarm[R]):
    """The base of the farms in this process.  The results can also be read after the farm has been stopped."""

    app: FarmApp

    @property
    def farm(self) -> Farm:
        """The farm without its control server."""
        return self.app.farm

    @property
    def evidence(self) -> InProcessView:
        return InProcessView(self.farm, self._own_trial)

    def _idle_at(self, *, is_idle: bool) -> int:
        """Return the simulated time in milliseconds.

        :raises TimeoutError: if the farm is not idle.
        """
        now_ms, next_ms = self.farm.time.now_ms(), self.farm.clock_control.next_ms
        if not is_idle:
            raise TimeoutError(f"the farm is not idle at {now_ms} ms; the next thing is due at {next_ms} ms")
        return now_ms


@dataclass(frozen=True, repr=False)
class InProcessView:
    """The view of a farm in this process.

    :ivar own_trial: the name of a trial side by side with others; ``None`` for the current trial.
    """

    farm: Farm
    own_trial: str | None = None

    def verdict(self, **settings: Any) -> Verdict:
        return self._analysis(settings).verdict(_decode(settings, Thresholds))

    def placement(self, **settings: Any) -> Placement:
        return self._analysis(settings).placement(_decode(settings, PlacementThresholds))

    def _analysis(self, settings: dict[str, Any]) -> LogAnalysis:
        """Return the analysis of what ``trial``, ``since`` and ``client`` of the settings say; they are removed."""
        which = {key: settings.pop(key) for key in WHICH & settings.keys()}
        return self.farm.analysis.log_analysis(**(which or {"trial": self.own_trial}))

    def trial(self, name: str | None, **facts: Unpack[TrialFacts]) -> str:
        return self.farm.analysis.begin_trial(name, **facts).name

    def report_orders(self, *reports: OrderReport) -> None:
        at_once(self.farm.analysis.report_orders([report.as_event() for report in reports]))

    def delivered(self, job: str, **facts: Unpack[DeliveryFacts]) -> Stamp | None:
        return self.farm.analysis.delivered(job, **facts)

    def journal(self) -> Journal:
        return self.farm.analysis.journal(self.own_trial)

    def clock(self) -> ClockState:
        return get_clock(self.farm)

    def seed(self) -> int:
        assert self.farm.config.farm.seed is not None, "make_farm draws one"
        return self.farm.config.farm.seed

    def faults(self) -> Sequence[FaultFirings]:
        public = [armed for armed in self.farm.registry.armed.values() if not armed.is_private]
        return [FaultFirings.of(armed.fault.id, armed.fault.as_written(), armed.fired) for armed in public]

    def timeline(self) -> str:
        return as_text(self._analysis({}).timeline())

    def page(self) -> str:
        return page(self._analysis({}))


def _decode(settings: Mapping[str, Any], kind: type[S]) -> S:
    """Decode thresholds: ``{"reaction": "5s", "retries": 3}``; a number for a duration is seconds.

    :raises ConfigError: naming the key.
    """
    return decode_alone(as_table(kind, settings), kind)


@dataclass(eq=False, repr=False)
class LiveFault:
    """A fault that the test has armed."""

    fault_controller: FaultController
    armed: ArmedFault

    @classmethod
    def arm(cls, fault_controller: FaultController, table: Mapping[str, Any]) -> Self:
        """Arm the fault that a table describes, written as ``[[fault]]``.

        :raises ConfigError: if it describes none.
        :raises UnknownFault: if its glob matches no instance, or its id is taken.
        """
        return cls(fault_controller, fault_controller.arm(read_fault(table)))

    @property
    def id(self) -> str:
        return self.armed.fault.id

    @property
    def fired(self) -> int:
        """The number of firings on all instances."""
        return sum(self.armed.fired.values())

    @property
    def fired_on(self) -> Mapping[str, int]:
        """The number of firings by instance."""
        return self.armed.fired

    @property
    def state(self) -> str:
        """``armed``, ``expired``, ``healed`` or ``removed``."""
        return self.armed.state

    def remove(self) -> None:
        """Remove the fault; a second call does nothing."""
        if self.state == "armed" or self.armed.lasts:
            self.fault_controller.remove(self.id)


@dataclass(eq=False, repr=False)
class LiveGate(LiveFault):
    """A gate that the test has closed."""

    @property
    def held(self) -> list[Firing]:
        """What waits at the gate, in the order of arrival, as ``.instance``, ``.facts.prompt_id`` and ``.at_ms``."""
        return [firing for firing in self.armed.firings if firing.active]

    def release(self, count: int | None = None) -> None:
        """Release the first ``count`` of what waits now; ``None``: all of it.  The gate stays closed."""
        self.fault_controller.release(self.held[:count])


def in_seconds(duration: str | float) -> float:
    """Return a duration in seconds; a text is written as in the configuration (``"10s"``)."""
    return Duration.parse(duration) / 1000 if isinstance(duration, str) else duration
