"""Gates: a job or an exchange waits at a phase until a test lets it go."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.events import Failed, Finished, Interrupted, Submitted, Succeeded
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Asking, Reply
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
STEP = {"timing": {"step": "1s", "node": "0ms", "save": "0ms"}}
TWO = {"instance": [{"name": "gpu-{n}", "count": 2, **STEP}]}


def post(farm: MemoryFarm, name: str = "gpu-1", steps: int = 1) -> str:
    answer = farm[name].ask("POST", "/prompt", json={"prompt": text_to_image(steps=steps)})
    return str(answer.json()["prompt_id"])


def begin(farm: MemoryFarm, method: str, path: str, body: object = None) -> Asking:
    content = b"" if body is None else json.dumps(body).encode()
    return farm.wire.begin(farm.farm.backends["gpu-1"].site, method, path, content)


def ask(farm: MemoryFarm, method: str, path: str, **body: Any) -> Reply:
    return farm.control(method, path, json=body)


def test_a_job_waits_at_its_gate_until_it_is_let_go(memory_farm: Start) -> None:
    """Between success and history: the client has heard of the end, and finds no entry."""
    farm = memory_farm(TWO)
    listener = farm["gpu-1"].listen("me")
    with farm.hold(on="gpu-1", at="history") as gate:
        answer = farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image(steps=1), "client_id": "me"})
        job = answer.json()["prompt_id"]
        farm.advance("1h")
        (held,) = gate.held
        assert (held.instance, held.facts.prompt_id, held.at_ms) == ("gpu-1", job, 1000)
        assert "execution_success" in listener.types()
        assert farm["gpu-1"].ask("GET", f"/history/{job}").json() == {}
        gate.release()
        assert gate.held == []
        assert job in farm["gpu-1"].ask("GET", f"/history/{job}").json()


def test_a_gate_that_is_opened_lets_all_go(memory_farm: Start) -> None:
    """At the end of the block; what comes later is not held."""
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-*", at="start") as gate:
        for name in ("gpu-1", "gpu-2"):
            post(farm, name)
        farm.advance("10s")
        assert [each.instance for each in gate.held] == ["gpu-1", "gpu-2"]
    post(farm)
    farm.run_until_idle()
    assert [each.at_ms for each in farm.farm.log.of(Finished)] == [11_000, 11_000, 12_000]


def test_who_has_waited_longest_is_let_go_first_and_the_next_is_held(memory_farm: Start) -> None:
    """Over the control API, which says who waits where, and since when."""
    farm = memory_farm(TWO)
    gate = ask(farm, "POST", "/api/gates", on="*", at={"phase": "node", "node_type": "KSampler"}).json()
    assert (gate["id"], gate["state"], gate["held"]) == ("hold-1", "armed", [])
    first = post(farm)
    farm.advance("1s")
    second, third = post(farm, "gpu-2"), post(farm)
    (told,) = farm.control("GET", "/api/gates").json()["gates"]
    sampler = next(node for node, each in text_to_image().items() if each["class_type"] == "KSampler")
    job = next(farm.farm.log.of(Submitted)).job
    waits = {"instance": "gpu-1", "prompt_id": first, "job": job, "node": sampler, "route": "", "since_ms": 0}
    assert told["held"][0] == waits
    assert [each["prompt_id"] for each in told["held"]] == [first, second]
    released = ask(farm, "POST", "/api/gates/hold-1/release", count=1).json()
    assert [each["prompt_id"] for each in released["held"]] == [second]
    farm.advance("1s")
    held = farm.control("GET", "/api/gates/hold-1").json()["held"]
    assert [(each["prompt_id"], each["since_ms"]) for each in held] == [(second, 1000), (third, 2000)]
    assert ask(farm, "POST", "/api/gates/hold-1/release").json()["held"] == []
    farm.run_until_idle()
    assert [each.prompt_id for each in farm.farm.log.of(Finished)] == [first, third, second]


def test_a_gate_that_is_deleted_is_open_for_good(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    ask(farm, "POST", "/api/gates", on="gpu-1", at="step", id="door")
    job = post(farm, steps=2)
    farm.advance("5s")
    gone = farm.control("DELETE", "/api/gates/door").json()
    assert (gone["state"], gone["held"], gone["fired"]) == ("removed", [], {"gpu-1": 1})
    farm.run_until_idle()
    assert [(each.prompt_id, each.at_ms) for each in farm.farm.log.of(Finished)] == [(job, 6000)]


@pytest.mark.parametrize("phase", ["request", "submit"])
def test_an_exchange_is_held_before_its_work(memory_farm: Start, phase: str) -> None:
    """The prompt is not taken on before it is let go."""
    farm = memory_farm(TWO)
    at = {"phase": phase} | ({"route": "/prompt"} if phase == "request" else {})
    with farm.hold(on="gpu-1", at=at) as gate:
        asking = begin(farm, "POST", "/prompt", {"prompt": text_to_image(steps=1)})
        farm.advance("5s")
        (held,) = gate.held
        assert (held.facts.route, asking.reply(), list(farm.farm.log.of(Submitted))) == ("/prompt", None, [])
        gate.release()
        assert asking.end().status == 200
    assert [each.at_ms for each in farm.farm.log.of(Submitted)] == [5000]


def test_an_exchange_is_held_between_its_work_and_its_answer(memory_farm: Start) -> None:
    """The job runs already, and the client does not know of it yet: a race that is made."""
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-1", at={"phase": "reply", "route": "/prompt"}) as gate:
        asking = begin(farm, "POST", "/prompt", {"prompt": text_to_image(steps=1)})
        farm.advance("5s")
        (finished,) = farm.farm.log.of(Finished)
        assert (asking.reply(), gate.held[0].facts.prompt_id) == (None, finished.prompt_id)
        gate.release()
        assert asking.end().json()["prompt_id"] == finished.prompt_id


def test_an_interrupt_is_heard_when_the_gate_is_opened(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-1", at="node") as gate:
        job = post(farm)
        farm["gpu-1"].ask("POST", "/interrupt", json={})
        farm.advance("5s")
        assert len(gate.held) == 1
        gate.release()
        assert [(each.prompt_id, each.at_ms) for each in farm.farm.log.of(Interrupted)] == [(job, 5000)]


@pytest.mark.parametrize("what", ["reset", "restart", "crash"])
def test_what_is_forgotten_waits_no_more(memory_farm: Start, what: str) -> None:
    """The job is gone, and so is its place at the gate; the next one is held."""
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-1", at="start") as gate:
        post(farm)
        ask(farm, "POST", f"/api/instances/gpu-1/{what}")
        if what == "crash":
            ask(farm, "POST", "/api/instances/gpu-1/start")
        assert gate.held == []
        job = post(farm)
        assert [each.facts.prompt_id for each in gate.held] == [job]
    farm.run_until_idle()
    assert [each.prompt_id for each in farm.farm.log.of(Finished)] == [job]


def test_a_client_that_hangs_up_waits_no_more(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-1", at="submit") as gate:
        asking = begin(farm, "POST", "/prompt", {"prompt": text_to_image()})
        assert len(gate.held) == 1
        with pytest.raises(AssertionError, match="no answer"):
            asking.end()
        assert gate.held == []
    assert list(farm.farm.log.of(Submitted)) == []


def test_a_paused_worker_goes_on_only_when_it_is_resumed_as_well(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-1", at="start") as gate:
        post(farm)
        ask(farm, "POST", "/api/instances/gpu-1/pause")
        gate.release()
        farm.advance("10s")
        assert list(farm.farm.log.of(Succeeded)) == []
        ask(farm, "POST", "/api/instances/gpu-1/resume")
        farm.run_until_idle()
    assert [each.at_ms for each in farm.farm.log.of(Finished)] == [11_000]


def test_a_gate_holds_as_often_as_it_is_told(memory_farm: Start) -> None:
    """Once here; what it holds stays held although it is spent."""
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-1", at="start", times=1) as gate:
        post(farm)
        post(farm)
        farm.advance("1h")
        assert (gate.state, gate.fired, len(gate.held)) == ("expired", 1, 1)
        gate.release()
        farm.run_until_idle()
        assert len(list(farm.farm.log.of(Finished))) == 2


def test_a_gate_can_be_held_for_a_time_only(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    with farm.hold(on="gpu-1", at="start", ttl="30s"):
        post(farm)
        farm.run_until_idle()
        assert [each.at_ms for each in farm.farm.log.of(Finished)] == [31_000]
    assert list(farm.farm.log.of(Failed)) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/api/gates", {"at": "lunch"}, 422, "at.phase: "),
        ("POST", "/api/gates", {"at": "frame"}, 422, "do: 'hold' cannot happen at phase 'frame'"),
        ("POST", "/api/gates", {"at": "start", "on": "tpu-*"}, 422, "on: 'tpu-*' matches no instance"),
        ("POST", "/api/gates", {"at": "start", "do": "crash"}, 422, "do: a gate holds, and does nothing else"),
        ("POST", "/api/gates", {"at": "start", "duration": "1s"}, 422, "duration: unknown key"),
        ("GET", "/api/gates/nope", None, 404, "no gate is called 'nope' (there are: none)"),
        ("POST", "/api/gates/nope/release", {}, 404, "no gate is called 'nope'"),
        ("DELETE", "/api/gates/nope", None, 404, "no gate is called 'nope'"),
    ],
)
def test_what_is_no_gate_is_refused(
    memory_farm: Start, method: str, path: str, body: dict[str, Any] | None, status: int, said: str
) -> None:
    farm = memory_farm(TWO)
    answer = farm.control(method, path) if body is None else farm.control(method, path, json=body)
    assert (answer.status, answer.json()["error"][: len(said)]) == (status, said)
    assert farm.control("GET", "/api/gates").json() == {"gates": []}


def test_a_release_of_nothing_is_refused(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    ask(farm, "POST", "/api/gates", at="start", id="door")
    post(farm)
    answer = ask(farm, "POST", "/api/gates/door/release", count=0)
    assert (answer.status, answer.json()["error"]) == (422, "count: expected int >= 1")
    assert len(farm.control("GET", "/api/gates/door").json()["held"]) == 1


def test_a_fault_that_does_not_hold_is_no_gate(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    ask(farm, "POST", "/api/faults", do="hang", at="start", id="stuck")
    assert ask(farm, "POST", "/api/gates/stuck/release").status == 404
