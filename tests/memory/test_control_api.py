"""The control server: what it tells, what it changes, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.config.live_changes import live_keys
from comfyfarm.events import ServerStopped, SettingsChanged
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Asking, Reply
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
TWO = {"instance": [{"name": "gpu-{n}", "count": 2, "port": 0, "timing": {"step": "1s"}}]}


def post(farm: MemoryFarm, name: str = "gpu-1", steps: int = 20, **body: Any) -> str:
    answer = farm[name].ask("POST", "/prompt", json={"prompt": text_to_image(steps=steps), **body})
    return str(answer.json()["prompt_id"])


def do(farm: MemoryFarm, what: str, name: str = "gpu-1") -> Reply:
    return farm.control("POST", f"/api/instances/{name}/{what}")


def log(farm: MemoryFarm, query: str = "?since=0") -> list[dict[str, Any]]:
    return [json.loads(line) for line in farm.control("GET", f"/api/log{query}").body.splitlines()]


# Changes.


def test_a_running_job_hears_of_a_change_at_its_next_step(memory_farm: Start) -> None:
    """Ten steps of a second, then ten of ten."""
    farm = memory_farm(TWO)
    post(farm)
    farm.advance(10.5)
    answer = farm.control("PATCH", "/api/instances/gpu-1", json={"timing": {"step": "10s"}})
    assert answer.status == 200
    assert answer.json()["settings"]["timing"]["step"] == "10000ms"
    assert farm.run_until_idle() == 11_000 + 9 * 10_000 + 31


def test_an_instance_becomes_dynamic_while_it_runs(memory_farm: Start) -> None:
    """The next picture is a file; back again, and the static name is served as before."""
    farm = memory_farm(TWO)
    farm.control("PATCH", "/api/instances/gpu-1", json={"mode": "dynamic", "naming": "prompt_id"})
    prompt_id = post(farm)
    farm.run_until_idle()
    entry = farm["gpu-1"].ask("GET", "/history").json()[prompt_id]
    assert entry["outputs"]["9"]["images"][0]["filename"] == f"ComfyUI_{prompt_id}.png"
    static = "/view?filename=../input/kernie_512x768.jpg"
    assert farm["gpu-1"].ask("GET", static).status != 200
    farm.control("PATCH", "/api/instances/gpu-1", json={"mode": "static"})
    assert farm["gpu-1"].ask("GET", static).status == 200


def test_models_change_for_validation_and_object_info(memory_farm: Start) -> None:
    """Tables are merged key by key, lists are replaced; the other instance keeps its own."""
    farm = memory_farm(TWO)
    farm.control("PATCH", "/api/instances/gpu-1", json={"models": {"checkpoints": ["mine.safetensors"]}})
    farm.control("PATCH", "/api/instances/gpu-1", json={"models": {"loras": []}})
    assert farm["gpu-1"].ask("GET", "/models/checkpoints").json() == ["mine.safetensors"]
    assert farm["gpu-2"].ask("GET", "/models/checkpoints").json() != ["mine.safetensors"]
    assert farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image()}).status == 400


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 1}, "port: cannot change while it runs (what may: mode, naming,"),
        ({"colour": 1}, "colour: unknown key (what may: mode, naming,"),
        ({"timing": {"stepp": "1s"}}, "timing.stepp: unknown key (there are: step, node,"),
        ({"timing": {"step": "soon"}}, "timing.step: expected a duration"),
        ({"mode": "fast"}, "mode: expected one of 'static', 'dynamic', got 'fast'"),
        ({"history_limit": 0}, "history_limit: expected at least 1, got 0"),
        ([], "expected a table"),
    ],
)
def test_one_bad_key_and_nothing_changes(memory_farm: Start, change: Any, said: str) -> None:
    """422 names the first bad key and what is allowed; the good keys beside it change nothing."""
    farm = memory_farm(TWO)
    before = farm.control("GET", "/api/instances/gpu-1").json()
    body = {"naming": "prompt_id", **change} if isinstance(change, dict) else change
    answer = farm.control("PATCH", "/api/instances/gpu-1", json=body)
    assert answer.status == 422
    assert answer.json()["error"].startswith(said)
    assert farm.control("GET", "/api/instances/gpu-1").json() == before
    assert not list(farm.farm.log.of(SettingsChanged))


def test_what_may_change_is_told_and_can_be_sent_back(memory_farm: Start) -> None:
    """Settings are shown as they are written, so that what was read can be patched in."""
    spans = {"step": {"lognormal": "45ms", "sigma": 0.3}, "node": {"uniform": ["1ms", "9ms"]}, "save": "1500000ms"}
    farm = memory_farm({"instance": [{"name": "gpu-1", "vram": "24GB", "timing": spans}]})
    told = farm.control("GET", "/api/instances/gpu-1").json()
    assert told["live"] == list(live_keys())
    assert told["settings"]["timing"].items() >= spans.items()
    live = {key: told["settings"][key] for key in told["live"]}
    again = farm.control("PATCH", "/api/instances/gpu-1", json=live)
    assert again.status == 200
    assert again.json()["settings"] == told["settings"]


# Life.


def test_a_stopped_instance_refuses_and_hangs_up_and_begins_anew(memory_farm: Start) -> None:
    """Queue and history are gone, the address is the same, and the epoch is the next; ids never come twice."""
    farm = memory_farm(TWO)
    listener = farm["gpu-1"].listen("me")
    ended = post(farm, steps=1)
    farm.run_until_idle()
    running, waiting = post(farm), post(farm)
    farm.advance(2)
    stopped = do(farm, "stop").json()
    assert (stopped["state"], stopped["queue_remaining"], stopped["history"]) == ("stopped", 0, 0)
    assert listener.lost is not None
    (event,) = farm.farm.log.of(ServerStopped)
    assert event.lost == (running, waiting)
    with pytest.raises(ConnectionRefusedError):
        farm["gpu-1"].ask("GET", "/queue")
    started = do(farm, "start").json()
    assert (started["state"], started["epoch"], started["url"]) == ("running", 2, stopped["url"])
    assert farm["gpu-1"].ask("GET", "/history").json() == {}
    assert farm["gpu-1"].listen("me").lost is None
    again = post(farm, steps=1)
    assert again not in (ended, running, waiting)
    farm.run_until_idle()
    assert {each["epoch"] for each in log(farm, f"?prompt_id={again}")} == {2}


def test_a_paused_worker_takes_no_step_while_clients_are_answered(memory_farm: Start) -> None:
    """Afterwards the running step takes as long as it still had to."""
    farm = memory_farm(TWO)
    post(farm)
    farm.advance(5.5)
    assert do(farm, "pause").json()["state"] == "paused"
    farm.advance(100)
    post(farm, steps=1)
    assert farm["gpu-1"].ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 2}}
    assert do(farm, "resume").json()["state"] == "running"
    assert farm.run_until_idle() == 100_000 + 20_031 + 1_031


def test_a_paused_idle_instance_begins_when_it_is_resumed(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    do(farm, "pause")
    post(farm, steps=1)
    farm.advance(60)
    do(farm, "resume")
    assert farm.run_until_idle() == 60_000 + 1_031


@pytest.mark.parametrize(
    ("before", "what", "said"),
    [
        ("stop", "stop", "gpu-1 is stopped"),
        ("stop", "pause", "gpu-1 is stopped"),
        ("stop", "resume", "gpu-1 is stopped"),
        ("resume", "start", "gpu-1 runs already"),
    ],
)
def test_what_cannot_be_done_now_is_a_conflict(memory_farm: Start, before: str, what: str, said: str) -> None:
    farm = memory_farm(TWO)
    assert do(farm, before).status == 200
    answer = do(farm, what)
    assert (answer.status, answer.json()) == (409, {"error": said})


def test_an_unknown_instance_is_not_found_and_the_known_are_named(memory_farm: Start) -> None:
    answer = do(memory_farm(TWO), "stop", "gpu-9")
    assert answer.status == 404
    assert answer.json()["error"] == "no instance is called 'gpu-9'; there are: gpu-1, gpu-2"


def test_a_reset_empties_all_and_ends_a_pause(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    post(farm)
    do(farm, "pause")
    farm.control("POST", "/api/reset")
    state = farm.control("GET", "/api/instances").json()["gpu-1"]
    assert (state["state"], state["queue_remaining"]) == ("running", 0)


# The log.


def test_the_log_is_filtered(memory_farm: Start) -> None:
    """By instance, kinds, job and place; lines of JSON."""
    farm = memory_farm(TWO)
    one, two = post(farm, "gpu-1", 1), post(farm, "gpu-2", 1)
    farm.run_until_idle()
    answer = farm.control("GET", "/api/log")
    assert answer.headers["content-type"] == "application/x-ndjson"
    whole = log(farm)
    assert whole[0]["kind"] == "configured"
    assert [each["seq"] for each in whole] == list(range(1, len(whole) + 1))
    assert {each["instance"] for each in log(farm, "?instance=gpu-2")} == {"gpu-2"}
    kinds = [each["kind"] for each in log(farm, f"?kind=submitted,finished&prompt_id={one}")]
    assert kinds == ["submitted", "finished"]
    assert [each["prompt_id"] for each in log(farm, "?kind=finished&limit=1")] == [one]
    assert log(farm, f"?since={whole[-1]['seq']}") == []
    assert two in {each.get("prompt_id") for each in log(farm, "?since=5")}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?kind=nope", "kind: unknown kind 'nope' (there are: cached,"),
        ("?instance=gpu-9", "instance: there is no 'gpu-9' (there are: gpu-1, gpu-2)"),
        ("?since=soon", "since: expected int, got str"),
        ("?limit=0", "limit: expected int >= 1"),
        ("?colour=1", "colour: unknown key (there are: instance, kind,"),
    ],
)
def test_a_filter_that_fits_nothing_is_refused(memory_farm: Start, query: str, said: str) -> None:
    answer = memory_farm(TWO).control("GET", f"/api/log{query}")
    assert answer.status == 422
    assert answer.json()["error"].startswith(said)


def test_a_required_key_of_a_query_that_is_missing_is_named(memory_farm: Start) -> None:
    reply = memory_farm(TWO).control("GET", "/api/instances/gpu-1/picture?subfolder=")
    assert (reply.status, reply.json()) == (422, {"error": "name: is missing"})


def test_the_stream_says_each_event_as_it_happens(memory_farm: Start) -> None:
    """With the same filters; with ``since`` those that are kept come first."""
    farm = memory_farm(TWO)
    first = post(farm, steps=1)
    farm.run_until_idle()
    port = farm.app.server.port.number
    fresh = farm.wire.listen_at(port, "/api/log/stream?kind=finished")
    whole = farm.wire.listen_at(port, "/api/log/stream?kind=finished&since=0")
    second = post(farm, "gpu-2", steps=1)
    farm.run_until_idle()
    assert [each["prompt_id"] for each in fresh.heard] == [second]
    assert [each["prompt_id"] for each in whole.heard] == [first, second]


def test_the_log_of_an_earlier_run_is_kept_under_another_name(memory_farm: Start, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    runs = []
    for seed in range(3):
        farm = memory_farm({**TWO, "farm": {"log": str(path), "seed": seed}})
        farm.stop()
        runs.append(path.read_bytes())
    assert [(tmp_path / name).read_bytes() for name in ("run.1.jsonl", "run.2.jsonl", "run.jsonl")] == runs


def test_the_first_event_has_the_wall_clock_time_of_the_start(memory_farm: Start) -> None:
    first = log(memory_farm(TWO), "?since=0")[0]
    assert (first["kind"], first["unix_ms"]) == ("configured", 1_700_000_000_000)


def test_what_the_control_server_has_told_is_in_the_log_file(memory_farm: Start, tmp_path: Path) -> None:
    """By an answer or by the stream; it does not wait for the next flush, 50 ms of real time later."""
    path = tmp_path / "run.jsonl"
    farm = memory_farm({**TWO, "farm": {"log": str(path)}})
    post(farm)
    farm.run_until_idle()
    assert path.read_bytes().count(b"\n") < farm.farm.log.seq
    assert farm.control("GET", "/api/log").body == path.read_bytes()
    farm.wire.listen_at(farm.app.server.port.number, "/api/log/stream?kind=finished")
    post(farm)
    farm.run_until_idle()
    assert b'"kind":"finished"' in path.read_bytes().splitlines()[-1]


# Waiting.


def wait(farm: MemoryFarm, **body: Any) -> Asking:
    return farm.wire.begin(farm.app.server.site, "POST", "/api/wait", json.dumps(body).encode())


def test_a_wait_is_answered_when_it_is_so_and_not_before(memory_farm: Start) -> None:
    """Jobs that run, jobs that have ended, and quiet at last."""
    farm = memory_farm(TWO)
    running, finished, started = wait(farm, running=2), wait(farm, finished=3), wait(farm, event={"kind": "started"})
    post(farm, "gpu-1")
    post(farm, "gpu-1")
    farm.advance(1)
    assert running.reply() is None
    post(farm, "gpu-2")
    assert running.end().json()["running"] == 2
    assert started.end().json()["event"]["instance"] == "gpu-1"
    idle = wait(farm, idle=True)
    farm.advance(30)
    assert (finished.reply(), idle.reply()) == (None, None)
    farm.advance(30)
    assert finished.end().json()["finished"] == 3
    seen = idle.end().json()
    assert (seen["met"], seen["pending"], seen["running"], seen["at_ms"]) == (True, 0, 0, 40_062)


def test_what_is_so_already_is_answered_at_once(memory_farm: Start) -> None:
    """Events that the log still has count, unless they are older than ``since``."""
    farm = memory_farm(TWO)
    prompt_id = post(farm, steps=1)
    farm.run_until_idle()
    event = {"kind": "finished", "prompt_id": prompt_id, "status": "success"}
    assert wait(farm, idle=True).end().status == 200
    assert wait(farm, finished=1, instance="gpu-1").end().status == 200
    seen = wait(farm, event=event).end().json()
    assert seen["event"].items() >= event.items()
    later = wait(farm, event=event, since=seen["event"]["seq"])
    assert later.reply() is None


def test_a_wait_ends_when_its_time_is_up_and_says_what_there_was(memory_farm: Start) -> None:
    """In real time: the answer is 504, and helps."""
    farm = memory_farm(TWO)
    post(farm)
    waiting = wait(farm, idle=True, timeout="2s")
    reactor: MemoryReactorClock = farm.wire.reactor
    reactor.advance(1.9)
    assert waiting.reply() is None
    reactor.advance(0.2)
    answer = waiting.end()
    assert answer.status == 504
    told = answer.json()
    assert (told["met"], told["pending"] + told["running"]) == (False, 1)
    assert told["error"].startswith("after 2000ms of real time there was no idle = True; the clock is virtual")


def test_a_client_that_goes_away_ends_its_wait(memory_farm: Start) -> None:
    """Nothing goes on listening for it."""
    farm = memory_farm(TWO)
    before = len(farm.wire.reactor.getDelayedCalls())
    waiting = wait(farm, finished=1)
    with pytest.raises(AssertionError, match="no answer"):
        waiting.end()
    assert len(farm.wire.reactor.getDelayedCalls()) <= before + 1   # the site's own timeout


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "expected exactly one of idle, running, finished, event; got none"),
        ({"idle": True, "running": 1}, 422, "expected exactly one of idle, running, finished, event; got idle and"),
        ({"running": 0}, 422, "running: expected int >= 1"),
        ({"idle": True, "timeout": "-1s"}, 422, "timeout: expected a duration"),
        ({"idle": True, "since": 4}, 422, "since: belongs to event"),
        ({"idle": True, "instance": "gpu-9"}, 404, "no instance is called 'gpu-9'"),
        ({"event": {"kind": "nope"}}, 422, "event.kind: unknown kind 'nope'"),
    ],
)
def test_a_wait_for_nonsense_is_refused(memory_farm: Start, body: dict[str, Any], status: int, said: str) -> None:
    answer = memory_farm(TWO).control("POST", "/api/wait", json=body)
    assert answer.status == status
    assert answer.json()["error"].startswith(said)


# The description.


def test_openapi_describes_every_route(memory_farm: Start) -> None:
    """Made from the table and the Structs: every reference leads somewhere, every route has a text."""
    document = memory_farm(TWO).control("GET", "/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert {"/api/instances/{name}", "/api/clock", "/api/wait", "/api/log/stream", "/healthz"} <= set(document["paths"])
    schemas = document["components"]["schemas"]
    references = set(json.dumps(document).split('"$ref": "#/components/schemas/')[1:])
    assert {each.partition('"')[0] for each in references} <= set(schemas)
    assert all(each["summary"] for path in document["paths"].values() for each in path.values())
    assert set(schemas["InstanceChange"]["properties"]) == set(live_keys())


def test_a_body_that_is_no_json_is_a_bad_request(memory_farm: Start) -> None:
    answer = memory_farm(TWO).control("POST", "/api/clock", data=b"{")
    assert answer.status == 400
    assert "no JSON" in answer.json()["error"]


def test_an_unknown_path_is_not_found(memory_farm: Start) -> None:
    answer = memory_farm(TWO).control("GET", "/api/nothing")
    assert (answer.status, answer.json()) == (404, {"error": "GET /api/nothing: Not Found"})


def test_an_instance_that_boots_can_be_stopped_and_started(memory_farm: Start) -> None:
    """It is told apart from a stopped one, and clients are refused until it is up."""
    farm = memory_farm({"instance": [{"name": "gpu-1", "timing": {"boot": "10s"}}]})
    assert farm.control("GET", "/api/instances/gpu-1").json()["state"] == "booting"
    with pytest.raises(ConnectionRefusedError):
        farm["gpu-1"].ask("GET", "/queue")
    assert do(farm, "stop").json()["state"] == "stopped"
    assert do(farm, "start").json()["state"] == "booting"
    farm.advance("11s")
    assert farm["gpu-1"].ask("GET", "/queue").status == 200
