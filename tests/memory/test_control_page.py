"""What the page at ``/`` gets from the control server."""

import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.faults.effects import EFFECTS
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[..., MemoryFarm]

ONE_OF: dict[str, dict[str, Any]] = {       # effects that need one key of several
    "drip": {"piece": "10B"},
    "lie": {"queue_remaining": 0},
}
TWO = {"instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic"}]}


def post(farm: MemoryFarm, **facts: Any) -> None:
    farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image(**facts)})


def test_the_page_and_its_files_are_served_under_a_policy_that_loads_nothing_from_elsewhere(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    page = farm.control("GET", "/")
    assert page.status == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    files = [part.partition('"')[0] for part in page.body.decode().split('="/page/')[1:]]
    assert len(files) >= 5
    for file in files:
        assert farm.control("GET", f"/page/{file}").status == 200, file


@pytest.mark.parametrize("path", ["/page/../server.py", "/page/..%2fserver.py", "/page/vendor/../../server.py"])
def test_nothing_but_the_page_is_served(path: str, memory_farm: Start) -> None:
    assert memory_farm(TWO).control("GET", path).status == 404


def test_the_form_of_a_fault_has_every_effect_with_its_own_keys_and_their_meaning(memory_farm: Start) -> None:
    effects = memory_farm(TWO).control("GET", "/api/effects").json()
    by_name = {effect["name"]: effect for effect in effects["effects"]}
    assert by_name.keys() == EFFECTS.keys() - {"hold"}
    assert all(effect["says"] and effect["phases"] for effect in by_name.values())
    assert {"times", "skip", "every", "chance", "after"} <= {field["name"] for field in effects["common"]}
    assert [field["name"] for field in effects["filters"]["view"]] == ["file", "client"]
    assert all(effects["filters"].keys() >= set(effect["phases"]) for effect in effects["effects"])
    assert "F08" in [scenario["name"] for scenario in effects["scenarios"]]


def test_every_effect_of_the_form_is_taken_if_its_required_keys_are_given(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    values = {"string": "10ms", "integer": 500, "number": 1.0, "boolean": True, "array": [], "": "10ms"}
    refused = {}
    for effect in farm.control("GET", "/api/effects").json()["effects"]:
        required = {
            field["name"]: (field["choices"] or [values[field["type"]]])[0]
            for field in effect["fields"]
            if field["is_required"]
        }
        table = {"do": effect["name"], "at": effect["phases"][0], **required, **ONE_OF.get(effect["name"], {})}
        reply = farm.control("POST", "/api/faults", json=table)
        if reply.status != 200:
            refused[effect["name"]] = reply.json()["error"]
    assert refused == {}


def test_a_scenario_that_is_started_counts_its_times_from_then(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.advance("1h")
    started = farm.control(
        "POST", "/api/scenarios", json={"name": "mine", "after": "1s", "step": [{"at": "2s", "crash": "gpu-2"}]}
    )
    assert started.json() == {"name": "mine", "on": ["gpu-1", "gpu-2"], "steps": 1}
    farm.advance("2999ms")
    assert farm.control("GET", "/api/instances/gpu-2").json()["state"] == "running"
    farm.advance("1ms")
    assert farm.control("GET", "/api/instances/gpu-2").json()["state"] == "stopped"


def test_a_scenario_that_is_started_to_begin_with_the_next_job_waits_for_it(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.advance("1h")
    scenario = {"name": "mine", "begins": "first job", "step": [{"at": "2s", "crash": "gpu-2"}]}
    assert farm.control("POST", "/api/scenarios", json=scenario).status == 200
    farm.advance("1h")
    post(farm)
    farm.advance("1999ms")
    assert farm.control("GET", "/api/instances/gpu-2").json()["state"] == "running"
    farm.advance("1ms")
    assert farm.control("GET", "/api/instances/gpu-2").json()["state"] == "stopped"


def test_an_incident_can_be_started_while_the_farm_runs_and_its_settings_with_it(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    assert farm.control("POST", "/api/scenarios", json={"use": "F03", "on": "gpu-1"}).status == 200
    settings = {"name": "slow", "on": "gpu-2", "settings": {"timing": {"step": "9s"}}}
    assert farm.control("POST", "/api/scenarios", json=settings).status == 200
    assert farm.control("GET", "/api/instances/gpu-2").json()["settings"]["timing"]["step"] == "9000ms"
    post(farm)
    farm.run_until_idle()
    assert farm.control("GET", "/api/instances/gpu-1").json()["state"] == "stopped"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"use": "F99"}, "use: "),
        ({"use": "F08", "on": "cpu-*"}, "on: 'cpu-*' matches no instance"),
        ({"name": "x", "step": [{"at": "1s", "crash": "gpu-9"}]}, "step[0].crash: 'gpu-9' matches no instance"),
        ({"name": "x", "settings": {"comfyui_version": "0.25.0"}}, "comfyui_version"),
        ([], "expected"),
    ],
    ids=str,
)
def test_a_scenario_that_cannot_be_started_changes_nothing_and_says_why(
    body: Any, error: str, memory_farm: Start
) -> None:
    farm = memory_farm(TWO)
    seq = farm.farm.log.seq
    reply = farm.control("POST", "/api/scenarios", json=body)
    assert (reply.status, error in reply.json()["error"]) == (422, True), reply.json()
    assert farm.farm.log.seq == seq


def test_the_last_pictures_are_shown_without_a_request_that_the_verdict_would_count(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm, prefix="barns/red")
    farm.run_until_idle()
    before = farm.verdict().findings
    reply = farm.control("GET", "/api/instances/gpu-1/picture?subfolder=barns&name=red_00001_.png")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    assert reply.body.startswith(b"\x89PNG")
    assert farm.verdict().findings == before


@pytest.mark.parametrize(
    "query", ["name=nothing.png", "name=..%2f..%2fetc%2fpasswd", "subfolder=..%2f..&name=x", "name="]
)
def test_a_picture_that_is_none_is_not_found(query: str, memory_farm: Start) -> None:
    assert memory_farm(TWO).control("GET", f"/api/instances/gpu-1/picture?{query}").status == 404


def test_what_was_done_by_hand_in_a_trial_is_written_as_a_test_and_as_a_configuration(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.control("POST", "/api/instances/gpu-1/pause")
    farm.advance("5s")
    farm.control("POST", "/api/trial", json={"name": "two"})
    farm.advance("1s")
    farm.control("POST", "/api/faults", json={"do": "reset", "at": "reply", "on": "gpu-2"})
    farm.advance("1s")
    post(farm)
    farm.advance("1s")
    farm.control("POST", "/api/instances/gpu-2/crash")
    test = farm.control("GET", "/api/test").body.decode()
    assert '"step": [{"at": "1000ms", "crash": ["gpu-2"]}]' in test
    assert '"do": "reset"' in test
    assert "pause" not in test
    toml = farm.control("GET", "/api/test?format=toml").body.decode()
    assert '[[scenario.step]]\nat = "1000ms"\ncrash = ["gpu-2"]\n' in toml
    assert farm.control("GET", "/api/test?trial=none").status == 404


def test_the_copied_test_has_drains_resets_and_what_a_crash_by_hand_kept(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm)
    farm.advance("1s")
    for body in ({"on": True}, {"on": True}, {"on": False}):
        farm.control("POST", "/api/instances/gpu-2/drain", json=body)
    farm.control("POST", "/api/instances/gpu-2/reset")
    farm.control("POST", "/api/instances/gpu-1/crash", json={"keep": ["queue"], "restart_after": "2s"})
    load = {"name": "busy", "step": [{"at": "0s", "load": {"jobs": 2, "on": "gpu-2", "steps": 9}}]}
    farm.control("POST", "/api/scenarios", json=load)
    scenarios = tomllib.loads(farm.control("GET", "/api/test?format=toml").body.decode())["scenario"]
    fault = {"do": "crash", "at": "process", "on": ["gpu-1"], "keep": ["queue"], "restart_after": "2000ms"}
    assert [step for scenario in scenarios for step in scenario["step"]] == [
        {"at": "1000ms", "drain": ["gpu-2"]},
        {"at": "1000ms", "undrain": ["gpu-2"]},
        {"at": "1000ms", "reset": ["gpu-2"]},
        {"at": "1000ms", "fault": fault},
        {"at": "1000ms", "load": {"on": ["gpu-2"], "jobs": 2, "steps": 9}},
    ]


def test_a_copied_configuration_does_to_a_farm_what_was_done_by_hand(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.control("POST", "/api/instances/gpu-2/drain", json={"on": True})
    farm.advance("1s")
    post(farm)
    farm.advance("1s")
    farm.control("POST", "/api/instances/gpu-1/crash", json={"restart_after": "2s"})
    again = memory_farm(tomllib.loads(farm.control("GET", "/api/test?format=toml").body.decode()))
    assert again.control("GET", "/api/instances/gpu-2").json()["draining"]
    post(again)
    for duration, state in (("999ms", "running"), ("2ms", "stopped"), ("2s", "running")):
        again.advance(duration)
        assert again.control("GET", "/api/instances/gpu-1").json()["state"] == state


def test_a_stream_in_batches_has_every_event_once(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    stream = farm.wire.listen_at(farm.app.server.port.number, "/api/log/stream?since=0&batch=true")
    for seed in range(3):
        post(farm, seed=seed)
    farm.run_until_idle()
    kept = len(stream.heard)
    farm.wire.reactor.advance(0.05)
    farm.wire.flush()
    seqs = [event["seq"] for message in stream.heard for event in message]
    assert seqs == list(range(1, farm.farm.log.seq + 1))
    assert (kept, len(stream.heard)) == (1, 2)      # what there was, and what happened within 50 ms of real time


def test_a_stream_in_batches_that_is_closed_sends_no_more(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    stream = farm.wire.listen_at(farm.app.server.port.number, "/api/log/stream?batch=true")
    post(farm)
    farm.wire.close()
    farm.wire.reactor.advance(1)
    assert stream.heard == []
