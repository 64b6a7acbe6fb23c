"""Faults over the control API: armed, listed, taken off, healed; and what is refused changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from comfyfarm.events import FaultArmed, FaultHealed, Healed, ServerStarted, ServerStopped
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
STEP = {"timing": {"step": "1s", "node": "0ms", "save": "0ms"}}
TWO = {"instance": [{"name": "gpu-{n}", "count": 2, **STEP}]}


def arm(farm: MemoryFarm, **table: Any) -> Any:
    return farm.control("POST", "/api/faults", json=table)


def post(farm: MemoryFarm, name: str = "gpu-1", steps: int = 20) -> str:
    answer = farm[name].ask("POST", "/prompt", json={"prompt": text_to_image(steps=steps)})
    return str(answer.json()["prompt_id"])


def test_a_fault_is_armed_as_it_would_be_written_in_a_configuration(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    answer = arm(farm, do="delay", duration="5s", on="gpu-*", at={"phase": "request", "route": "/queue"}, times=1)
    assert answer.status == 200
    (fault,) = answer.json()["faults"]
    assert fault == {
        "id": "delay-1",
        "state": "armed",
        "fault": {
            "on": "gpu-*",
            "at": {"phase": "request", "route": "/queue"},
            "id": "delay-1",
            "times": 1,
            "do": "delay",
            "duration": "5000ms",
        },
        "on": ["gpu-1", "gpu-2"],
        "matched": 0,
        "fired": {"gpu-1": 0, "gpu-2": 0},
        "lasts": False,
    }
    again = arm(farm, **{**fault["fault"], "id": "again"})
    assert again.status == 200, "what was told can be sent back"


def test_the_list_says_how_often_each_has_fired_and_which_never_did(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    arm(farm, do="error", at={"phase": "step", "step": 2}, on="gpu-1", id="bad", skip=1)
    arm(farm, do="crash", at={"phase": "node", "node_type": "Nothing"})
    for _ in range(3):
        post(farm, steps=3)
    farm.run_until_idle()
    told = farm.control("GET", "/api/faults").json()
    assert [(each["id"], each["state"], each["matched"], each["fired"]) for each in told["faults"]] == [
        ("bad", "armed", 3, {"gpu-1": 2}),
        ("crash-1", "armed", 0, {"gpu-1": 0, "gpu-2": 0}),
    ]
    assert told["never_fired"] == ["crash-1"]
    assert farm.control("GET", "/api/faults/bad").json() == told["faults"][0]


def test_several_faults_are_armed_together_in_their_order(memory_farm: Start) -> None:
    """Those without an id are given one that none of them has."""
    farm = memory_farm(TWO)
    crash = {"do": "crash", "at": "step"}
    faults = [crash, {**crash, "id": "crash-1"}, {"do": "hang", "at": "save"}]
    answer = arm(farm, faults=faults)
    assert [each["id"] for each in answer.json()["faults"]] == ["crash-2", "crash-1", "hang-1"]
    assert [each.id for each in farm.farm.log.of(FaultArmed)] == ["crash-2", "crash-1", "hang-1"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "do: is missing (expected one of broadcast, close, crash, "),
        ({"do": "explode", "at": "step"}, "do: expected one of "),
        ({"do": "crash", "at": "lunch"}, "at.phase: "),
        ({"do": "crash", "at": "frame"}, "do: 'crash' cannot happen at phase 'frame' (there: "),
        ({"do": "crash", "at": "step", "times": 0}, "times: expected int >= 1"),
        ({"do": "crash", "at": "step", "on": "tpu"}, "on: 'tpu' matches no instance (there are: gpu-1, gpu-2)"),
        ({"do": "crash", "at": "step", "on": ["gpu-1", "tpu"]}, "on: 'tpu' matches no instance"),
        ({"do": "crash", "at": "step", "colour": 1}, "colour: unknown key (there are: on, at, id, "),
        ({"do": "crash", "at": "step", "chance": 1.5}, "chance: expected float <= 1.0"),
        ({"do": "crash", "at": {"phase": "step", "route": "/"}}, "at.route: has no meaning at phase 'step'"),
        ({"do": "crash", "at": "step", "keep": ["dreams"]}, "keep[0]: "),
        ({"do": "crash", "at": "step", "id": "known"}, "id: 'known' is armed already"),
        ([1], "expected a table, got list"),
        ({"faults": {}}, "faults: expected a list of faults, and nothing beside it"),
        ({"faults": [], "do": "crash"}, "faults: expected a list of faults, and nothing beside it"),
        ({"faults": [{"do": "crash", "at": "step"}, {"do": "hang", "at": "lunch"}]}, "faults[1].at.phase: "),
        ({"faults": [{"do": "crash", "at": "step"}, {"do": "hang", "at": "step", "on": "x"}]}, "faults[1].on: 'x' "),
        (
            {"faults": [{"do": "crash", "at": "step", "id": "a"}, {"do": "hang", "at": "step", "id": "a"}]},
            "id: 'a' is given twice",
        ),
    ],
)
def test_what_is_no_fault_is_refused_and_changes_nothing(memory_farm: Start, body: Any, said: str) -> None:
    """One bad fault, and none is armed."""
    farm = memory_farm(TWO)
    arm(farm, do="hang", at="save", id="known")
    before = farm.control("GET", "/api/faults").body
    answer = farm.control("POST", "/api/faults", json=body)
    assert (answer.status, answer.json()["error"][: len(said)]) == (422, said)
    assert farm.control("GET", "/api/faults").body == before
    assert len(list(farm.farm.log.of(FaultArmed))) == 1
    assert arm(farm, do="crash", at="step").json()["faults"][0]["id"] == "crash-1", "no name was used up"


def test_a_fault_is_taken_off_and_stays_listed(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    arm(farm, do="hang", at="start", id="stuck", on="gpu-1")
    job = post(farm, steps=1)
    farm.advance("10s")
    assert farm.control("GET", "/api/faults/stuck").json()["lasts"]
    gone = farm.control("DELETE", "/api/faults/stuck").json()
    assert (gone["state"], gone["lasts"], gone["fired"]) == ("removed", False, {"gpu-1": 1})
    farm.run_until_idle()
    assert job in farm["gpu-1"].ask("GET", "/history").json()
    assert [each["state"] for each in farm.control("GET", "/api/faults").json()["faults"]] == ["removed"]
    assert arm(farm, do="crash", at="step", id="stuck").status == 200, "its name is free"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_fault_is_not_found_and_the_known_are_named(memory_farm: Start, method: str) -> None:
    farm = memory_farm(TWO)
    arm(farm, do="crash", at="step")
    answer = farm.control(method, "/api/faults/nope")
    assert (answer.status, answer.json()) == (404, {"error": "no fault is called 'nope' (there are: crash-1)"})


def test_all_faults_are_taken_off_at_once(memory_farm: Start) -> None:
    """That is not a heal: what somebody paused by hand stays paused."""
    farm = memory_farm(TWO)
    arm(farm, do="crash", at="process", on="gpu-1")
    arm(farm, do="hang", at="start")
    farm.advance("1s")
    farm.control("POST", "/api/instances/gpu-2/pause")
    assert farm.control("DELETE", "/api/faults").json() == {"status": "ok"}
    states = {name: each["state"] for name, each in farm.control("GET", "/api/instances").json().items()}
    assert states == {"gpu-1": "running", "gpu-2": "paused"}
    assert [(each.id, each.reason) for each in farm.farm.log.of(FaultHealed)] == [
        ("crash-1", "removed"),
        ("hang-1", "removed"),
    ]
    assert list(farm.farm.log.of(Healed)) == []


def test_heal_takes_all_off_and_says_so_last(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    arm(farm, do="crash", at="process", on="gpu-1")
    farm.advance("1s")
    assert farm.control("POST", "/api/heal").json() == {"status": "ok"}
    assert farm["gpu-1"].ask("GET", "/queue").status == 200
    kinds = [type(each) for each in farm.farm.log.events if each.at_ms == 1000]
    assert [each for each in kinds if each in (FaultHealed, ServerStarted, Healed)][-1] is Healed


def test_an_instance_crashes_by_hand_and_comes_back(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    job = post(farm)
    answer = farm.control("POST", "/api/instances/gpu-1/crash", json={"restart_after": "2s"})
    assert (answer.json()["state"], answer.json()["queue_remaining"]) == ("stopped", 0)
    again = farm.control("POST", "/api/instances/gpu-1/crash")
    assert (again.status, again.json()) == (409, {"error": "gpu-1 is stopped"})
    farm.advance("2s")
    assert farm.control("GET", "/api/instances/gpu-1").json()["state"] == "running"
    assert [(each.reason, each.lost) for each in farm.farm.log.of(ServerStopped)] == [("crashed", (job,))]
    assert farm.control("GET", "/api/faults").json() == {"faults": [], "never_fired": []}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"keep": ["dreams"]}, "keep[0]: expected one of "),
        ({"restart_after": "soon"}, "restart_after: expected a duration"),
        ({"colour": 1}, "colour: unknown key"),
    ],
)
def test_a_crash_that_is_asked_for_wrongly_does_not_happen(memory_farm: Start, body: Any, said: str) -> None:
    farm = memory_farm(TWO)
    answer = farm.control("POST", "/api/instances/gpu-1/crash", json=body)
    assert (answer.status, answer.json()["error"][: len(said)]) == (422, said)
    assert farm.control("GET", "/api/instances/gpu-1").json()["state"] == "running"


@pytest.mark.parametrize("before", ["stop", "pause", "crash", "resume"])
def test_a_restart_gives_a_new_epoch_whatever_there_was(memory_farm: Start, before: str) -> None:
    farm = memory_farm(TWO)
    farm.control("POST", f"/api/instances/gpu-1/{before}")
    answer = farm.control("POST", "/api/instances/gpu-1/restart").json()
    assert (answer["state"], answer["epoch"]) == ("running", 2)
    assert farm["gpu-1"].ask("GET", "/queue").status == 200


def test_the_faults_of_a_configuration_are_armed_at_the_start(memory_farm: Start) -> None:
    fault = {"do": "crash", "at": "process", "on": "gpu-2", "after": "3s", "restart_after": "1s", "cites": "F04"}
    farm = memory_farm({**TWO, "fault": [fault]})
    (armed,) = farm.control("GET", "/api/faults").json()["faults"]
    assert (armed["id"], armed["fault"]["cites"], armed["on"]) == ("crash-1", "F04", ["gpu-2"])
    farm.run_until_idle()
    assert [(each.instance, each.at_ms) for each in farm.farm.log.of(ServerStopped)] == [("gpu-2", 3000)]


def test_at_its_end_a_farm_names_the_faults_that_never_fired(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    arm(farm, do="crash", at="step", id="never")
    arm(farm, do="hang", at="start", id="once")
    arm(farm, do="hang", at="save", id="nor-this")
    post(farm)
    with capturedLogs() as heard:
        farm.stop()
    said = [formatEvent(event) for event in heard if "never fired" in str(event.get("log_format"))]
    assert said == ["faults that never fired: never, nor-this"]


def test_the_description_has_faults_and_gates(memory_farm: Start) -> None:
    document = memory_farm(TWO).control("GET", "/openapi.json").json()
    paths = {"/api/faults", "/api/faults/{fault_id}", "/api/gates/{gate_id}/release", "/api/heal"}
    assert paths <= set(document["paths"])
    assert {"FaultState", "GateState", "Held", "CrashBody"} <= set(document["components"]["schemas"])
