"""The test and the configuration that repeat what was done to a farm by hand."""

import tomllib
from pathlib import Path
from typing import Any

from comfyfarm.config import read
from comfyfarm.config.repetition import Repetition, repetition
from comfyfarm.events import Event, FaultArmed, StepTaken

FARM: dict[str, Any] = {
    "farm": {"seed": 7, "clock": "virtual", "control_port": 9000, "log": "run.jsonl"},
    "instance": [
        {"name": "gpu-1", "port": 9001, "mode": "dynamic", "timing": {"step": "60ms", "nodes": {"VAEDecode": "1s"}}},
        {"name": "gpu-2", "port": 9002, "vram": "12GB"},
    ],
}
CRASH = {"do": "crash", "at": {"phase": "step"}, "on": "gpu-1", "id": "crash-1", "times": 1}


def repeated(*trial: Event, began_ms: int = 0, armed: tuple[dict[str, Any], ...] = ()) -> Repetition:
    config = read(FARM, Path())
    return repetition(config.farm, config.instance, trial, began_ms, armed)


def by_hand(action: str, at: int, *on: str, scenario: str = "", refused: str = "") -> StepTaken:
    return StepTaken(at_ms=at, scenario=scenario, action=action, on=on, refused=refused)


def test_the_configuration_describes_the_same_farm_without_what_belongs_to_one_run() -> None:
    tables = tomllib.loads(repeated().as_toml())
    assert tables["farm"] == {"seed": 7, "clock": "virtual"}
    again, first = read(tables, Path()), read(FARM, Path())
    assert [instance.timing for instance in again.instance] == [instance.timing for instance in first.instance]
    assert [instance.vram for instance in again.instance] == [instance.vram for instance in first.instance]
    assert [instance.port for instance in again.instance] == [9001, 9002]


def test_a_fault_begins_as_much_later_as_it_was_armed() -> None:
    trial = FaultArmed(at_ms=12_500, id="crash-1", fault=CRASH, on=("gpu-1",))
    assert repeated(trial, began_ms=10_000).faults == [{**CRASH, "after": "2500ms"}]
    assert repeated(trial, began_ms=12_500).faults == [CRASH]


def test_a_fault_that_was_armed_before_the_trial_holds_from_its_beginning() -> None:
    assert repeated(began_ms=10_000, armed=(CRASH,)).faults == [CRASH]


def test_a_gate_is_left_out_because_nobody_would_open_it() -> None:
    gate = FaultArmed(at_ms=0, id="hold-1", fault={"do": "hold", "at": {"phase": "history"}, "id": "hold-1"}, on=())
    assert repeated(gate).faults == []


def test_what_was_done_to_an_instance_becomes_a_step_at_its_time() -> None:
    trial = by_hand("crash", 11_000, "gpu-1"), by_hand("start", 12_000, "gpu-1"), by_hand("pause", 13_000, "gpu-2")
    assert repeated(*trial, began_ms=10_000).steps == [
        {"at": "1000ms", "crash": ["gpu-1"]},
        {"at": "2000ms", "start": ["gpu-1"]},
        {"at": "3000ms", "pause": ["gpu-2"]},
    ]


def test_steps_that_need_more_than_an_instance_or_were_refused_are_left_out() -> None:
    trial = by_hand("load", 1, "gpu-1", scenario="F08"), by_hand("crash", 2, "gpu-1", refused="gpu-1 is stopped")
    assert repeated(*trial).steps == []


def test_the_test_is_a_module_whose_marker_has_all_of_it() -> None:
    text = repeated(
        FaultArmed(at_ms=0, id="crash-1", fault=CRASH, on=("gpu-1",)), by_hand("stop", 500, "gpu-2")
    ).as_test()
    marks: dict[str, Any] = {}
    module = text.replace("import pytest\n", "").replace("@pytest.mark.comfy_farm(", "@mark(")

    def mark(**arguments: Any) -> Any:
        marks.update(arguments)
        return lambda function: function

    exec(compile(module, "copied", "exec"), {"mark": mark})  # noqa: S102 (the text under test)
    assert marks["seed"] == 7
    assert marks["verdict"] == "pass"
    assert marks["faults"] == [CRASH]
    assert marks["scenario"] == [{"name": "by hand", "step": [{"at": "500ms", "stop": ["gpu-2"]}]}]
    assert [instance["name"] for instance in marks["config"]["instance"]] == ["gpu-1", "gpu-2"]
