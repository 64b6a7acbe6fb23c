"""The configuration and the test that repeat what was done to a farm by hand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from textwrap import wrap
from typing import Any

import msgspec

from comfyfarm.config.live_changes import differing
from comfyfarm.config.python_text import arguments_text
from comfyfarm.config.scenarios.scenario import INSTANCE_ACTIONS
from comfyfarm.config.sources import toml_document, toml_tables
from comfyfarm.config.values import FarmSettings, InstanceConfig
from comfyfarm.events import (
    ClockChanged,
    ClockMoved,
    Event,
    FaultArmed,
    FaultHealed,
    Healed,
    PromptRefused,
    SettingsChanged,
    StepTaken,
    Submitted,
)
from comfyfarm.events.filters import is_job
from comfyfarm.units import Duration

Table = dict[str, Any]

_OF_ONE_RUN = {"output_dir", "control_port", "control_token", "data_dir", "log", "seed", "host"}
_HOLD = "hold"
_AFTER_HEALS = {"drain", "undrain", "load"}     # what a heal does not undo
OF_HANDS = (
    ClockChanged,
    ClockMoved,
    FaultArmed,
    FaultHealed,
    Healed,
    PromptRefused,
    SettingsChanged,
    StepTaken,
    Submitted,
)
"""The events from which a repetition is made."""

_TEST = """import pytest


{comments}@pytest.mark.comfy_farm(
{arguments})
def test_what_was_done_by_hand(comfy_farm, send_jobs):
    farm = comfy_farm()
{clock}    send_jobs(farm.urls)  # your fixture: has the software under test do its jobs
"""
_AUTO = "    farm.control.auto()  # the virtual clock goes on whenever the sockets are quiet\n"
_WIDTH = 100


@dataclass(frozen=True)
class Repetition:
    """What a test needs to repeat a trial.

    :ivar faults: that hold from the start, as tables of a configuration.
    :ivar first_steps: what was done before the first job, as steps of a scenario.
    :ivar steps: what was done after it, at its time since then.
    :ivar left_out: what was done and is not repeated, each with its reason.
    """

    seed: int
    farm: Table
    instances: Sequence[Table]
    faults: Sequence[Table]
    first_steps: Sequence[Table]
    steps: Sequence[Table]
    left_out: Sequence[str] = ()

    def as_test(self) -> str:
        """Return the text of a pytest module; its one test needs a fixture ``send_jobs``."""
        config: Table = {"farm": self.farm} if self.farm else {}
        instances = [{key: value for key, value in table.items() if key != "port"} for table in self.instances]
        arguments: Table = {"config": {**config, "instance": instances}, "seed": self.seed}
        if self.faults:
            arguments["faults"] = list(self.faults)
        if self._scenarios:
            arguments["scenario"] = self._scenarios
        arguments["verdict"] = "pass"
        clock = _AUTO if self.farm.get("clock") == "virtual" else ""
        return _TEST.format(arguments=arguments_text(arguments), comments=self._comments, clock=clock)

    def as_toml(self) -> str:
        """Return the text of a configuration."""
        parts = [
            self._comments,
            f"[farm]\n{toml_document({**self.farm, 'seed': self.seed})}",
            toml_tables("instance", self.instances),
            toml_tables("fault", self.faults),
            *map(_scenario_text, self._scenarios),
        ]
        return "\n".join(part for part in parts if part)

    @property
    def _comments(self) -> str:
        """What is left out, as lines of comment."""
        if not self.left_out:
            return ""
        items = [wrap(text, _WIDTH, initial_indent="# - ", subsequent_indent="#   ") for text in self.left_out]
        return "\n".join(["# Not repeated:", *chain.from_iterable(items), ""])

    @property
    def _scenarios(self) -> list[Table]:
        before: Table = {"name": "by hand, before the first job", "step": list(self.first_steps)}
        after: Table = {"name": "by hand", "begins": "first job", "step": list(self.steps)}
        return [scenario for scenario in (before, after) if scenario["step"]]


def repetition(
    farm: FarmSettings,
    instances: Iterable[InstanceConfig],
    trial: Sequence[Event],
    armed: Iterable[Mapping[str, Any]] = (),
    speed: float | None = None,
) -> Repetition:
    """Return what repeats a trial.

    What was there when its first job was submitted holds from the start.  What was done later has its time since then,
    because a test needs another time until its first job than the people at the page.

    :param trial: the events of the trial, at least those of ``OF_HANDS``.
    :param armed: faults that were armed before it and still are, as tables.
    :param speed: of the clock now, if it is real.
    """
    first = next((event for event in trial if is_job(event)), None)
    hands = _Hands(None if first is None else first.at_ms, farm.speed)
    if speed is not None and not any(isinstance(event, ClockChanged) for event in trial):
        hands.speed = hands.first_speed = speed     # as it was before the trial
    for table in armed:
        hands.arm(table, None)
    for event in trial:
        hands.on_event(event)
    return Repetition(
        seed=farm.seed or 0,
        farm=_repeated(msgspec.structs.replace(farm, speed=hands.first_speed), FarmSettings()),
        instances=[_table(config) for config in instances],
        faults=list(hands.faults.values()),
        first_steps=hands.first_steps,
        steps=hands.steps,
        left_out=hands.left_out,
    )


@dataclass(eq=False)
class _Hands:
    """What was done to a farm in a trial.

    :ivar first_job_ms: ``None``: no job came.
    :ivar faults: those that were armed before the first job, by id.
    :ivar steps: what was done since then.
    :ivar first_speed: of the clock when the first job came.
    :ivar left_out: what cannot be repeated, each with its reason.
    """

    first_job_ms: int | None
    speed: float
    faults: dict[str, Table] = field(default_factory=dict)
    first_steps: list[Table] = field(default_factory=list)
    steps: list[Table] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    first_speed: float = field(init=False)
    _later_faults: dict[str, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.first_speed = self.speed

    def on_event(self, event: Event) -> None:
        match event:
            case FaultArmed(fault=table):
                self.arm(table, event.at_ms)
            case FaultHealed(reason="removed"):
                self._remove(event.id, event.at_ms)
            case StepTaken(refused=""):
                self._on_step(event)
            case Healed() if self._is_before(event.at_ms):
                self.faults.clear()
                self.first_steps = [step for step in self.first_steps if _AFTER_HEALS & step.keys()]
            case Healed():
                self._step(event.at_ms, {"heal": True})
            case ClockChanged():
                self._on_clock(event)
            case ClockMoved():
                self._leave_out("the moves of the clock: it goes on by itself while the software under test waits")
            case SettingsChanged():
                self._leave_out("the time at which settings were changed: they are changed from the start")

    def _on_step(self, event: StepTaken) -> None:
        """Note what was done to instances; a crash with settings is written as a fault."""
        action, settings = event.action, event.settings
        if action == "load":
            self._step(event.at_ms, {"load": {"on": list(event.on), **settings}})
        elif action == "crash" and settings:
            self._crash(event.at_ms, event.on, settings)
        elif action in INSTANCE_ACTIONS:
            self._step(event.at_ms, {action: list(event.on)})
            if settings.get("files"):
                self._leave_out(f"the removal of the output files of {', '.join(event.on)}: their queue is emptied")

    def _crash(self, at_ms: int, on: Sequence[str], settings: Mapping[str, Any]) -> None:
        fault: Table = {"do": "crash", "at": "process", "on": list(on), **settings}
        if "restart_after" in settings and self._is_before(at_ms):
            up_ms = at_ms + Duration.parse(settings["restart_after"]) - (self.first_job_ms or at_ms)
            if up_ms <= 0:
                return
            fault["restart_after"] = _text(up_ms)
        self._step(at_ms, {"fault": fault})

    def _on_clock(self, event: ClockChanged) -> None:
        if event.speed != self.speed:
            self.speed = event.speed
            if self._is_before(event.at_ms):
                self.first_speed = event.speed
            else:
                self._step(event.at_ms, {"speed": event.speed})
        if event.is_frozen:
            self._leave_out("the time that the clock was frozen: a scenario's times stand still then, too")

    def _leave_out(self, text: str) -> None:
        if text not in self.left_out:
            self.left_out.append(text)

    def arm(self, table: Mapping[str, Any], at_ms: int | None) -> None:
        """Note a fault, with its times since the first job.

        :param at_ms: when it was armed; ``None``: before the trial.
        """
        ends_ms = [Duration.parse(table["until"])] if "until" in table else []
        fault = {key: value for key, value in table.items() if key not in ("after", "until")}
        if at_ms is not None and self._is_before(at_ms) and "ttl" in fault:
            ends_ms.append(Duration(at_ms + Duration.parse(fault.pop("ttl"))))
        first_ms = self.first_job_ms or 0
        if fault["do"] == _HOLD:
            self._leave_out(f"the gate {fault['id']} (at {_phase(fault['at'])}): nobody would open it")
            return
        if ends_ms and min(ends_ms) <= first_ms:
            return
        if "after" in table and (after_ms := Duration.parse(table["after"])) > max(at_ms or 0, first_ms):
            fault["after"] = _text(after_ms - first_ms)
        if ends_ms:
            fault["until"] = _text(min(ends_ms) - first_ms)
        if at_ms is None or self._is_before(at_ms):
            self.faults[fault["id"]] = fault
        else:
            self._later_faults[fault["id"]] = fault
            self._step(at_ms, {"fault": fault})

    def _remove(self, fault_id: str, at_ms: int) -> None:
        """Note that a fault was taken off: it ends then, or was of no effect."""
        if self._is_before(at_ms):
            self.faults.pop(fault_id, None)
            return
        fault = self.faults.get(fault_id, self._later_faults.get(fault_id))
        if fault is not None:
            fault["until"] = _text(at_ms - (self.first_job_ms or 0))

    def _step(self, at_ms: int, action: Table) -> None:
        if self._is_before(at_ms):
            self.first_steps.append({"at": "0ms", **action})
        else:
            self.steps.append({"at": _text(at_ms - (self.first_job_ms or 0)), **action})

    def _is_before(self, at_ms: int) -> bool:
        return self.first_job_ms is None or at_ms < self.first_job_ms


def _text(ms: int) -> str:
    return str(Duration(ms))


def _table(config: InstanceConfig) -> Table:
    usual = InstanceConfig(name=config.name, port=config.port)
    return {"name": config.name, "port": config.port, **_repeated(config, usual)}


def _repeated(value: msgspec.Struct, default: msgspec.Struct) -> Table:
    return {key: setting for key, setting in differing(value, default).items() if key not in _OF_ONE_RUN}


def _scenario_text(scenario: Table) -> str:
    head = {key: value for key, value in scenario.items() if key != "step"}
    return f"{toml_tables('scenario', [head])}\n{toml_tables('scenario.step', scenario['step'])}"


def _phase(at: Any) -> str:
    return str(at["phase"] if isinstance(at, Mapping) else at)
