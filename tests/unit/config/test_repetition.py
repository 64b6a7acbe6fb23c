"""The test and the configuration that repeat what was done to a farm by hand."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config import read
from comfyfarm.config.repetition import Repetition, repetition
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

FARM: dict[str, Any] = {
    "farm": {"seed": 7, "clock": "virtual", "control_port": 9000, "log": "run.jsonl"},
    "instance": [
        {"name": "gpu-1", "port": 9001, "mode": "dynamic", "timing": {"step": "60ms", "nodes": {"VAEDecode": "1s"}}},
        {"name": "gpu-2", "port": 9002, "vram": "12GB"},
    ],
}
CRASH = {"do": "crash", "at": {"phase": "step"}, "on": "gpu-1", "id": "crash-1", "times": 1}


def repeated(*trial: Event, armed: tuple[dict[str, Any], ...] = ()) -> Repetition:
    config = read(FARM, Path())
    return repetition(config.farm, config.instance, trial, armed)


def crash_armed(at: int, **more: Any) -> FaultArmed:
    return FaultArmed(at_ms=at, id="crash-1", fault={**CRASH, **more}, on=("gpu-1",))


def job(at: int) -> Submitted:
    return Submitted(at_ms=at, prompt_id="p", number=1, job="order-1", outputs=(), queue_remaining=1)


def by_hand(action: str, at: int, *on: str, scenario: str = "", refused: str = "", **settings: Any) -> StepTaken:
    return StepTaken(at_ms=at, scenario=scenario, action=action, on=on, refused=refused, settings=settings)


def test_the_configuration_describes_the_same_farm_without_what_belongs_to_one_run() -> None:
    tables = tomllib.loads(repeated().as_toml())
    assert tables["farm"] == {"seed": 7, "clock": "virtual"}
    again, first = read(tables, Path()), read(FARM, Path())
    assert [instance.timing for instance in again.instance] == [instance.timing for instance in first.instance]
    assert [instance.vram for instance in again.instance] == [instance.vram for instance in first.instance]
    assert [instance.port for instance in again.instance] == [9001, 9002]


def test_what_was_done_before_the_first_job_holds_from_the_start() -> None:
    done = repeated(crash_armed(12_500), by_hand("pause", 13_000, "gpu-2"), job(20_000))
    assert done.faults == [CRASH]
    assert done.first_steps == [{"at": "0ms", "pause": ["gpu-2"]}]
    assert done.steps == []


def test_what_was_done_before_any_job_came_holds_from_the_start() -> None:
    assert repeated(crash_armed(12_500)).faults == [CRASH]


def test_what_was_done_after_the_first_job_comes_as_much_later() -> None:
    done = repeated(job(20_000), crash_armed(21_500), by_hand("stop", 22_000, "gpu-2"), job(23_000))
    assert done.faults == []
    assert done.steps == [{"at": "1500ms", "fault": CRASH}, {"at": "2000ms", "stop": ["gpu-2"]}]


def test_a_job_that_was_refused_counts_as_the_first_one_and_a_load_does_not() -> None:
    load = Submitted(at_ms=1, prompt_id="l", number=1, job="load-1", outputs=(), queue_remaining=1, is_load=True)
    done = repeated(load, crash_armed(10), PromptRefused(at_ms=500, error="x"), by_hand("stop", 700, "gpu-2"))
    assert done.faults == [CRASH]
    assert done.steps == [{"at": "200ms", "stop": ["gpu-2"]}]


@pytest.mark.parametrize(
    ("at", "written", "repeated_as"),
    [
        (10_000, {"after": "5s"}, {}),
        (10_000, {"after": "30s"}, {"after": "10000ms"}),
        (10_000, {"until": "25s"}, {"until": "5000ms"}),
        (10_000, {"until": "15s"}, None),
        (10_000, {"ttl": "12s"}, {"until": "2000ms"}),
        (10_000, {"ttl": "10s"}, None),
    ],
    ids=str,
)
def test_the_times_of_a_fault_count_from_the_first_job(
    at: int, written: dict[str, Any], repeated_as: dict[str, Any] | None
) -> None:
    expected = [] if repeated_as is None else [{**CRASH, **repeated_as}]
    assert repeated(crash_armed(at, **written), job(20_000)).faults == expected


def test_a_fault_that_was_armed_after_the_first_job_keeps_its_ttl() -> None:
    done = repeated(job(20_000), crash_armed(21_000, ttl="3s", after="30s"))
    assert done.steps == [{"at": "1000ms", "fault": {**CRASH, "ttl": "3s", "after": "10000ms"}}]


def test_a_fault_that_was_taken_off_ends_then_or_is_left_out() -> None:
    off = FaultHealed(at_ms=22_000, id="crash-1", reason="removed")
    assert repeated(crash_armed(10_000), job(20_000), off).faults == [{**CRASH, "until": "2000ms"}]
    assert repeated(job(20_000), crash_armed(21_000), off).steps == [
        {"at": "1000ms", "fault": {**CRASH, "until": "2000ms"}}
    ]
    assert repeated(crash_armed(10_000), off, job(30_000)).faults == []


def test_healing_ends_what_was_before_it_and_later_is_a_step() -> None:
    done = repeated(crash_armed(10_000), by_hand("stop", 11_000, "gpu-2"), Healed(at_ms=12_000), job(20_000))
    assert (done.faults, done.first_steps, done.steps) == ([], [], [])
    assert repeated(job(20_000), Healed(at_ms=25_000)).steps == [{"at": "5000ms", "heal": True}]


def test_a_fault_that_was_armed_before_the_trial_holds_from_its_beginning() -> None:
    assert repeated(job(10_000), armed=(CRASH,)).faults == [CRASH]


def test_a_gate_is_left_out_because_nobody_would_open_it() -> None:
    gate = FaultArmed(at_ms=0, id="hold-1", fault={"do": "hold", "at": {"phase": "history"}, "id": "hold-1"}, on=())
    assert repeated(gate).faults == []


def test_what_was_done_to_an_instance_becomes_a_step_at_its_time() -> None:
    hands = by_hand("crash", 11_000, "gpu-1"), by_hand("start", 12_000, "gpu-1"), by_hand("pause", 13_000, "gpu-2")
    assert repeated(job(10_000), *hands).steps == [
        {"at": "1000ms", "crash": ["gpu-1"]},
        {"at": "2000ms", "start": ["gpu-1"]},
        {"at": "3000ms", "pause": ["gpu-2"]},
    ]


def test_steps_that_are_told_otherwise_or_were_refused_are_left_out() -> None:
    trial = by_hand("fault", 1, "gpu-1", scenario="F08"), by_hand("crash", 2, "gpu-1", refused="gpu-1 is stopped")
    assert repeated(job(0), *trial).steps == []


def test_a_drain_and_a_reset_are_steps_and_the_load_of_a_scenario_is_one() -> None:
    load = by_hand("load", 14_000, "gpu-1", scenario="F36", jobs=2000)
    hands = by_hand("drain", 11_000, "gpu-1"), by_hand("undrain", 12_000, "gpu-1"), by_hand("reset", 13_000, "gpu-2")
    assert repeated(job(10_000), *hands, load).steps == [
        {"at": "1000ms", "drain": ["gpu-1"]},
        {"at": "2000ms", "undrain": ["gpu-1"]},
        {"at": "3000ms", "reset": ["gpu-2"]},
        {"at": "4000ms", "load": {"on": ["gpu-1"], "jobs": 2000}},
    ]


def test_a_heal_does_not_undo_a_drain() -> None:
    done = repeated(by_hand("drain", 1, "gpu-1"), by_hand("stop", 2, "gpu-2"), Healed(at_ms=3), job(20_000))
    assert done.first_steps == [{"at": "0ms", "drain": ["gpu-1"]}]


@pytest.mark.parametrize(
    ("settings", "jobs_at", "written"),
    [
        ({"keep": ["queue"], "restart_after": "4000ms"}, 5_000, {"keep": ["queue"], "restart_after": "4000ms"}),
        ({"restart_after": "4000ms"}, 11_000, {"restart_after": "3000ms"}),
        ({"restart_after": "4000ms"}, 14_000, None),
    ],
    ids=["after the first job", "before it", "over by then"],
)
def test_a_crash_that_keeps_something_or_restarts_by_itself_is_a_fault(
    settings: dict[str, Any], jobs_at: int, written: dict[str, Any] | None
) -> None:
    crash = by_hand("crash", 10_000, "gpu-1", **settings)
    done = repeated(*sorted((crash, job(jobs_at)), key=lambda event: event.at_ms))
    at = "5000ms" if jobs_at < 10_000 else "0ms"
    fault = {"do": "crash", "at": "process", "on": ["gpu-1"]}
    assert [*done.first_steps, *done.steps] == ([] if written is None else [{"at": at, "fault": {**fault, **written}}])


def clock(at: int, *, speed: float = 1, is_frozen: bool = False) -> ClockChanged:
    return ClockChanged(at_ms=at, speed=speed, is_frozen=is_frozen, auto=False)


def test_the_speed_of_the_clock_is_a_setting_before_the_first_job_and_a_step_after_it() -> None:
    done = repeated(clock(1000, speed=30), job(10_000), clock(12_000, speed=5), clock(13_000, speed=5))
    assert done.farm["speed"] == 30
    assert done.steps == [{"at": "2000ms", "speed": 5}]
    assert "speed = 5" in done.as_toml()


def test_a_speed_that_was_set_before_the_trial_is_a_setting() -> None:
    config = read({**FARM, "farm": {"seed": 7}}, Path())
    assert repetition(config.farm, config.instance, [job(1)], speed=30).farm["speed"] == 30


def test_what_cannot_be_repeated_is_a_comment_with_the_reason() -> None:
    gate = FaultArmed(at_ms=0, id="hold-1", fault={"do": "hold", "at": {"phase": "history"}, "id": "hold-1"}, on=())
    moved = ClockMoved(at_ms=4, from_ms=3, asked="advance")
    changed = SettingsChanged(at_ms=5, settings={})
    files = by_hand("reset", 6, "gpu-1", files=True)
    done = repeated(job(0), gate, clock(1, is_frozen=True), clock(2), moved, moved, changed, files)
    assert [text.partition(":")[0] for text in done.left_out] == [
        "the gate hold-1 (at history)",
        "the time that the clock was frozen",
        "the moves of the clock",
        "the time at which settings were changed",
        "the removal of the output files of gpu-1",
    ]
    for text in (done.as_test(), done.as_toml()):
        lines = text.splitlines()
        start = lines.index("# Not repeated:")
        assert lines[start + 1] == "# - the gate hold-1 (at history): nobody would open it"
        assert max(map(len, lines)) <= 110
    assert "# Not repeated" not in repeated(job(0)).as_test()


def test_the_virtual_clock_of_a_copied_test_goes_on_by_itself() -> None:
    assert "\n    farm = comfy_farm()\n    farm.control.auto()  #" in repeated().as_test()
    config = read({**FARM, "farm": {"seed": 7}}, Path())
    assert "auto" not in repetition(config.farm, config.instance, []).as_test()


def test_the_test_is_a_module_whose_marker_has_all_of_it() -> None:
    text = repeated(crash_armed(0), by_hand("pause", 1, "gpu-1"), job(500), by_hand("stop", 1000, "gpu-2")).as_test()
    marks: dict[str, Any] = {}
    module = text.replace("import pytest\n", "").replace("@pytest.mark.comfy_farm(", "@mark(")

    def mark(**arguments: Any) -> Any:
        marks.update(arguments)
        return lambda function: function

    exec(compile(module, "copied", "exec"), {"mark": mark})  # noqa: S102 (the text under test)
    assert marks["seed"] == 7
    assert marks["verdict"] == "pass"
    assert marks["faults"] == [CRASH]
    assert marks["scenario"] == [
        {"name": "by hand, before the first job", "step": [{"at": "0ms", "pause": ["gpu-1"]}]},
        {"name": "by hand", "begins": "first job", "step": [{"at": "500ms", "stop": ["gpu-2"]}]},
    ]
    assert [instance["name"] for instance in marks["config"]["instance"]] == ["gpu-1", "gpu-2"]


def test_the_test_is_laid_out_as_a_formatter_does() -> None:
    text = repeated(crash_armed(0), job(500), by_hand("stop", 1000, "gpu-2")).as_test()
    assert "'" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert '    faults=[{"do": "crash", "at": {"phase": "step"}, ' in text


def test_a_configuration_with_what_was_done_can_be_read() -> None:
    text = repeated(crash_armed(0), job(500), by_hand("stop", 1000, "gpu-2"), crash_armed(1500, id="x")).as_toml()
    config = read(tomllib.loads(text), Path())
    assert [scenario.begins for scenario in config.scenario] == ["first job"]
    assert [step.at_ms for scenario in config.scenario for step in scenario.steps] == [500, 1000]
