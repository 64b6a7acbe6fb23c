"""The configuration and the test that repeat what was done to a farm by hand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pprint import pformat
from typing import Any

import msgspec

from comfyfarm.config.live_changes import as_written
from comfyfarm.config.scenarios.scenario import INSTANCE_ACTIONS
from comfyfarm.config.sources import toml_document, toml_tables
from comfyfarm.config.values import FarmSettings, InstanceConfig
from comfyfarm.events import Event, FaultArmed, StepTaken
from comfyfarm.units import Duration

Table = dict[str, Any]

_OF_ONE_RUN = {"output_dir", "control_port", "control_token", "data_dir", "log", "seed", "host"}
_HOLD = "hold"      # a gate: a test that nobody watches would wait for ever
_TEST = """import pytest


@pytest.mark.comfy_farm(
{arguments}
)
def test_what_was_done_by_hand(comfy_farm, send_jobs):
    send_jobs(comfy_farm().urls)        # your fixture: the software under test, which sends jobs and sees them through
"""


@dataclass(frozen=True)
class Repetition:
    """What a test needs to repeat a trial.

    :ivar faults: as tables of a configuration; their times count from the beginning of the trial.
    :ivar steps: what was done to instances by hand, as steps of a scenario.
    """

    seed: int
    farm: Table
    instances: Sequence[Table]
    faults: Sequence[Table]
    steps: Sequence[Table]

    def as_test(self) -> str:
        """Return the text of a pytest module; its one test needs a fixture ``send_jobs``."""
        config: Table = {"farm": self.farm} if self.farm else {}
        instances = [{key: value for key, value in table.items() if key != "port"} for table in self.instances]
        arguments: Table = {"config": {**config, "instance": instances}, "seed": self.seed}
        if self.faults:
            arguments["faults"] = list(self.faults)
        if self.steps:
            arguments["scenario"] = [self._scenario()]
        arguments["verdict"] = "pass"
        lines = (f"{key}={pformat(value, width=100, sort_dicts=False)}," for key, value in arguments.items())
        return _TEST.format(arguments="\n".join(_indented(line) for line in lines))

    def as_toml(self) -> str:
        """Return the text of a configuration."""
        parts = [
            f"[farm]\n{toml_document({**self.farm, 'seed': self.seed})}",
            toml_tables("instance", self.instances),
            toml_tables("fault", self.faults),
            toml_tables("scenario", [self._scenario()] if self.steps else []),
        ]
        return "\n".join(part for part in parts if part)

    def _scenario(self) -> Table:
        return {"name": "by hand", "step": list(self.steps)}


def repetition(
    farm: FarmSettings,
    instances: Iterable[InstanceConfig],
    trial: Iterable[Event],
    trial_ms: int,
    armed: Iterable[Mapping[str, Any]] = (),
) -> Repetition:
    """Return what repeats a trial.

    :param trial: the events of the trial.
    :param trial_ms: when it began.
    :param armed: faults that were armed before it and still are, as tables.
    """
    faults = [dict(table) for table in armed]
    steps: list[Table] = []
    for event in trial:
        at = str(Duration(event.at_ms - trial_ms))
        if isinstance(event, FaultArmed):
            faults.append(_later(event.fault, event.at_ms - trial_ms))
        elif isinstance(event, StepTaken) and event.action in INSTANCE_ACTIONS and not event.refused:
            steps.append({"at": at, event.action: list(event.on)})
    return Repetition(
        seed=farm.seed or 0,
        farm=_changed(farm, FarmSettings()),
        instances=[_table(config) for config in instances],
        faults=[fault for fault in faults if fault.get("do") != _HOLD],
        steps=steps,
    )


def _later(table: Mapping[str, Any], ms: int) -> Table:
    """Return a fault that begins as much later as it was armed."""
    if ms <= 0 or "after" in table:
        return dict(table)
    return {**table, "after": str(Duration(ms))}


def _table(config: InstanceConfig) -> Table:
    usual = InstanceConfig(name=config.name, port=config.port)
    return {"name": config.name, "port": config.port, **_changed(config, usual)}


def _changed(value: msgspec.Struct, default: msgspec.Struct) -> Table:
    """Return those settings that differ from the defaults, as they are written in a configuration."""
    table: Table = {}
    for key in value.__struct_fields__:
        own, usual = getattr(value, key), getattr(default, key)
        if key in _OF_ONE_RUN or own == usual:
            continue
        is_nested = isinstance(own, msgspec.Struct) and type(own) is type(usual)
        table[key] = _changed(own, usual) if is_nested else as_written(own)
    return table


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
