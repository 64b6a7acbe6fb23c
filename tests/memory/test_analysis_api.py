"""What a farm says of the software that uses it, at any moment, and what that software may tell the farm."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyfarm.analysis.event_query import frame, happened, request
from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.config.decoding import ConfigError
from comfyfarm.events import Delivered, Draining
from comfyfarm.events.encoding import as_json
from comfyfarm.events.stamp import Stamp
from comfyfarm.server.media.contents import short_digest
from comfyfarm.server.media.stamps import read_stamp
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
TWO = {"farm": {"delivery": "none"}, "instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic"}]}


def post(farm: MemoryFarm, name: str, job: str, **body: Any) -> str:
    extra = {"comfyfarm_job": job}
    whole = {"prompt": text_to_image(), "client_id": "me", "extra_data": extra, **body}
    return str(farm[name].ask("POST", "/prompt", json=whole).json().get("prompt_id"))


def picture_of(farm: MemoryFarm, name: str, prompt_id: str) -> bytes:
    """The picture that a client gets."""
    farm.run_until_idle()
    (file,) = farm[name].ask("GET", f"/history/{prompt_id}").json()[prompt_id]["outputs"]["9"]["images"]
    return farm[name].ask("GET", f"/view?filename={file['filename']}").body


def found(verdict: Verdict) -> list[tuple[str, str]]:
    return [(each.finding, each.job) for each in verdict.findings if each.severity == "error"]


def eventful(farm: MemoryFarm) -> None:
    """A double run, a crash, faults, a refusal, a delivery, an instance that is drained."""
    farm["gpu-1"].listen("me")
    post(farm, "gpu-1", "j1")
    post(farm, "gpu-2", "j1")
    farm.control("POST", "/api/faults", json={"do": "error", "at": "node", "on": "gpu-2", "times": 1})
    post(farm, "gpu-2", "j2")
    post(farm, "gpu-2", "j3", prompt={})
    farm.advance(0.1)
    farm.control("POST", "/api/instances/gpu-1/crash", json={"restart_after": "1s"})
    farm.advance(0.1)
    farm.delivered("j4", file="x.png")
    farm.control("POST", "/api/instances/gpu-2/drain")
    farm.advance(0.051)
    post(farm, "gpu-2", "j5")
    farm.run_until_idle()
    farm.control("POST", "/api/heal")
    farm.advance(100)


# The verdict and the placement.


def test_a_farm_is_judged_at_any_moment(memory_farm: Start) -> None:
    """What has not ended yet is unknown, and so is a run without a job."""
    farm = memory_farm(TWO)
    assert farm.verdict().verdict == "unknown"
    assert [finding.finding for finding in farm.verdict().findings] == ["no_job"]
    post(farm, "gpu-1", "j1")
    assert farm.verdict().verdict == "unknown"
    farm.run_until_idle()
    assert farm.verdict().verdict == "pass"
    post(farm, "gpu-2", "j1")
    farm.run_until_idle()
    assert found(farm.verdict()) == [("ran_twice", "j1")]
    assert farm.placement().dispatches == 2


def test_the_control_server_says_the_same(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    eventful(farm)
    verdict = farm.control("GET", "/api/verdict")
    placement = farm.control("GET", "/api/placement")
    assert verdict.headers["content-type"] == "application/json"
    assert msgspec.json.decode(verdict.body, type=Verdict) == farm.verdict()
    assert msgspec.json.decode(placement.body, type=Placement) == farm.placement()
    assert {name for name, _ in found(farm.verdict())} >= {"false_completion", "sent_to_draining"}


def test_a_saved_log_is_judged_to_the_same_bytes_as_the_live_farm(memory_farm: Start, tmp_path: Path) -> None:
    """When it has ended, and at every moment before."""
    path = tmp_path / "run.jsonl"
    farm = memory_farm({**TWO, "farm": {"log": str(path)}})
    eventful(farm)
    live = farm.control("GET", "/api/verdict").body, farm.control("GET", "/api/placement").body
    then = analyse_saved([as_json(event) for event in farm.log])
    assert (as_json(then.verdict()), as_json(then.placement())) == live
    farm.stop()
    with path.open("rb") as file:
        saved = analyse_saved(file, needs_end=True)
    assert as_json(saved.verdict()) == as_json(farm.verdict())
    assert as_json(saved.placement()) == as_json(farm.placement())
    assert len(farm.verdict().findings) > 3


def test_the_end_of_a_log_is_its_last_line(memory_farm: Start, tmp_path: Path) -> None:
    """Also after what the stop itself brings about, such as a websocket that is closed."""
    path = tmp_path / "run.jsonl"
    farm = memory_farm({**TWO, "farm": {"log": str(path)}})
    farm["gpu-1"].listen("me")
    post(farm, "gpu-1", "j1")
    farm.stop()
    kinds = [msgspec.json.decode(line)["kind"] for line in path.read_bytes().splitlines()]
    assert kinds[-1] == "log_ended"
    assert kinds.count("socket_closed") == 1


def test_the_bound_of_the_log_in_memory_loses_the_verdict_nothing(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.farm.log.events = deque(farm.farm.log.events, maxlen=20)
    post(farm, "gpu-1", "j1")
    farm.run_until_idle()
    post(farm, "gpu-2", "j1")
    farm.run_until_idle()
    assert len(farm.log) == 20
    assert found(farm.verdict()) == [("ran_twice", "j1")]


@pytest.mark.parametrize(("bounds", "query"), [({"backoff": "1s"}, "backoff=1s"), ({"backoff": 1}, "backoff=1000ms")])
def test_other_bounds_can_be_asked_for(memory_farm: Start, bounds: dict[str, Any], query: str) -> None:
    """A number is seconds; the next who asks gets the usual ones again."""
    farm = memory_farm({"instance": [{"name": "gpu-1"}], "fault": [{"do": "error", "at": "node"}]})
    for _ in range(4):
        post(farm, "gpu-1", "j1")
        farm.advance(0.5)
    assert found(farm.verdict(**bounds)) == [("retry_storm", "j1")]
    assert farm.control("GET", f"/api/verdict?{query}").body == as_json(farm.verdict(**bounds))
    assert found(farm.verdict()) == []
    assert farm.placement(fresh=7).misplacements.fresh_ms == 7000
    assert farm.control("GET", "/api/placement?fresh=7s").json()["misplacements"]["fresh_ms"] == 7000


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/verdict?patience=5s", "patience: unknown key (there are: liveness, reaction,"),
        ("/api/verdict?reaction=5", 'reaction: expected a duration such as "45ms"'),
        ("/api/verdict?retries=many", "retries: expected int, got str"),
        ("/api/verdict?retries=-1", "retries: expected int >= 0"),
        ("/api/placement?fresh=soon", "fresh: expected a duration"),
        ("/api/placement?overtakes=-1", "overtakes: expected int >= 0"),
        ("/api/journal?status=ok", "status: expected int, got str"),
        ("/api/journal?type=status&route=/prompt", "type: is a frame's, and route a request's"),
    ],
)
def test_a_wrong_question_is_refused_and_says_why(memory_farm: Start, path: str, said: str) -> None:
    reply = memory_farm(TWO).control("GET", path)
    assert reply.status == 422
    assert reply.json()["error"].startswith(said)


def test_a_wrong_bound_is_told_in_a_call_too(memory_farm: Start) -> None:
    with pytest.raises(ConfigError, match="patience: unknown key"):
        memory_farm(TWO).verdict(patience=5)


# What the system under test says.


def test_a_user_who_got_anothers_picture_is_found(memory_farm: Start) -> None:
    """By the stamp in the picture itself, whatever the software believes."""
    farm = memory_farm(TWO)
    mine, other = post(farm, "gpu-1", "mine"), post(farm, "gpu-2", "other")
    picture = picture_of(farm, "gpu-2", other)
    stamp = read_stamp(picture)
    assert stamp == Stamp(instance="gpu-2", epoch=1, prompt_id=other, job="other", node="9", index=0)
    body = {"job": "mine", "prompt_id": mine, "picture": b64encode(picture).decode()}
    reply = farm.control("POST", "/api/delivered", json=body)
    assert reply.json() == {"seq": farm.farm.log.seq, "job": "mine", "stamp": msgspec.to_builtins(stamp)}
    assert ("misattributed", "mine") in found(farm.verdict())


def test_a_user_who_got_his_own_picture_is_well_served(memory_farm: Start) -> None:
    """Whether the picture is shown, or the text that was found in it."""
    farm = memory_farm(TWO)
    prompt_id = post(farm, "gpu-1", "j1")
    picture = picture_of(farm, "gpu-1", prompt_id)
    assert farm.delivered("j1", prompt_id=prompt_id, instance="gpu-1", file="a.png", picture=picture) is not None
    stamp = json.dumps(msgspec.to_builtins(read_stamp(picture)))
    assert farm.delivered("j1", prompt_id=prompt_id, instance="gpu-1", file="b.png", stamp=stamp) is not None
    assert farm.verdict().verdict == "pass"
    first, second = (each for each in farm.log if isinstance(each, Delivered))
    assert first == Delivered(
        seq=first.seq,
        at_ms=first.at_ms,
        instance="gpu-1",
        job="j1",
        prompt_id=prompt_id,
        stamp_job="j1",
        stamp_prompt_id=prompt_id,
        file="a.png",
        content="picture",
        size_bytes=len(picture),
        digest=short_digest(picture),
    )
    assert (second.file, second.stamp_job, second.content) == ("b.png", "j1", "")


def test_a_picture_without_a_stamp_is_delivered_too(memory_farm: Start) -> None:
    """A static instance's has none."""
    farm = memory_farm({"instance": [{"name": "gpu-1"}]})
    prompt_id = post(farm, "gpu-1", "j1")
    assert farm.delivered("j1", prompt_id=prompt_id, picture=picture_of(farm, "gpu-1", prompt_id)) is None
    assert farm.verdict().verdict == "pass"
    assert farm.log.count(happened("delivered", job="j1", stamp_job="")) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "job: is missing"),
        ({"job": ""}, "job: expected str of length >= 1"),
        ({"job": "j1", "jobs": 1}, "jobs: unknown key"),
        ({"job": "j1", "instance": "gpu-9"}, "instance: there is no 'gpu-9' (there are: gpu-1, gpu-2)"),
        ({"job": "j1", "stamp": "{}"}, "stamp: no stamp of this farm's:"),
        ({"job": "j1", "stamp": "[" * 9_000}, "stamp: no stamp of this farm's:"),
        ({"job": "j1", "picture": "%"}, "picture: "),
        ({"job": "j1", "stamp": "{}", "picture": ""}, "stamp: stands in the picture; say one of them"),
    ],
)
def test_a_delivery_that_makes_no_sense_is_refused_and_not_written_down(
    memory_farm: Start, body: dict[str, Any], said: str
) -> None:
    farm = memory_farm(TWO)
    before = farm.farm.log.seq
    reply = farm.control("POST", "/api/delivered", json=body)
    assert reply.status == 422
    assert reply.json()["error"].startswith(said)
    assert farm.farm.log.seq == before


def test_a_delivery_is_said_of_a_stopped_instance_too(memory_farm: Start) -> None:
    """Its user has the picture, whatever became of the machine."""
    farm = memory_farm(TWO)
    picture = picture_of(farm, "gpu-1", post(farm, "gpu-1", "j1"))
    farm.control("POST", "/api/instances/gpu-1/stop")
    assert farm.delivered("j1", instance="gpu-1", picture=picture) is not None
    assert farm.verdict().verdict == "pass"


# Draining.


def test_an_instance_is_drained_and_whoever_sends_there_is_told(memory_farm: Start) -> None:
    """The instance itself takes jobs on as before."""
    farm = memory_farm(TWO)
    assert farm.control("POST", "/api/instances/gpu-1/drain").json()["draining"] is True
    post(farm, "gpu-2", "j1")
    farm.advance(0.051)
    post(farm, "gpu-1", "j2")
    farm.run_until_idle()
    assert found(farm.verdict()) == [("sent_to_draining", "j2")]
    assert farm.placement().drained.dispatches == 1


def test_an_instance_that_is_drained_no_more_may_get_work(memory_farm: Start) -> None:
    """Saying it twice says nothing more; a restart does not end it."""
    farm = memory_farm(TWO)
    for _ in range(2):
        farm.control("POST", "/api/instances/gpu-1/drain", json={"on": True})
    farm.control("POST", "/api/instances/gpu-1/restart")
    assert farm.control("GET", "/api/instances/gpu-1").json()["draining"] is True
    assert farm.control("GET", "/api/instances/gpu-2").json()["draining"] is False
    for _ in range(2):
        farm.control("POST", "/api/instances/gpu-1/drain", json={"on": False})
    post(farm, "gpu-1", "j1")
    farm.run_until_idle()
    assert found(farm.verdict()) == []
    events = [each for each in farm.log if isinstance(each, Draining)]
    assert [(each.on, each.instance, each.epoch) for each in events] == [(True, "gpu-1", 1), (False, "gpu-1", 2)]


def test_an_instance_that_there_is_not_is_not_drained(memory_farm: Start) -> None:
    reply = memory_farm(TWO).control("POST", "/api/instances/gpu-9/drain")
    assert (reply.status, reply.json()["error"]) == (404, "no instance is called 'gpu-9'; there are: gpu-1, gpu-2")


# The journal.


def test_what_came_and_what_was_sent_can_be_asked_for(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm["gpu-1"].listen("me")
    prompt_id = post(farm, "gpu-1", "j1")
    post(farm, "gpu-2", "j2", prompt={})
    farm.run_until_idle()
    farm["gpu-1"].ask("GET", f"/api/history/{prompt_id}")
    assert [(each.instance, each.status) for each in farm.log.requests(route="/prompt")] == [
        ("gpu-1", 200),
        ("gpu-2", 400),
    ]
    assert len(farm.log.requests(prompt_id=prompt_id)) == 2
    assert farm.log.count(frame(type="executed", client="me")) == 1
    assert farm.log.in_order(
        request(method="POST", route="/prompt", job="j1"),
        happened("taken", prompt_id=prompt_id),
        frame(type="executed", prompt_id=prompt_id),
        request(route=f"/history/{prompt_id}"),
    )
    assert "status is 400, not 200" in farm.log.nearest(request(route="/prompt", instance="gpu-2", status=200))


def test_the_journal_is_there_over_http(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm["gpu-1"].listen("me")
    for name in ("gpu-1", "gpu-2"):
        post(farm, name, f"j-{name}")
    farm.run_until_idle()
    for _ in range(3):
        farm["gpu-2"].ask("GET", "/history/x")

    def journal(query: str) -> Any:
        return farm.control("GET", f"/api/journal?{query}").json()

    on_second = journal("instance=gpu-2&route=*")
    assert on_second["by_route"] == {"GET /history/*": 3, "POST /prompt": 1}
    assert (on_second["request_count"], on_second["frame_count"], on_second["frames"]) == (4, 0, [])
    first = journal("route=/history/*&limit=1")
    assert (first["request_count"], len(first["requests"])) == (3, 1)
    later = journal(f"route=/history/*&since={first['requests'][0]['seq']}")
    assert later["request_count"] == 2
    executed = journal("type=executed&client=me")
    assert (executed["by_type"], executed["request_count"]) == ({"executed": 1}, 0)
    assert executed["frames"][0]["to"] == ["me"]
    assert journal("job=j-gpu-1&status=200&method=post")["request_count"] == 1
    whole = journal("")
    assert (whole["request_count"], whole["frame_count"]) == (5, sum(whole["by_type"].values()))


def test_the_api_describes_all_of_it(memory_farm: Start) -> None:
    described = memory_farm(TWO).control("GET", "/openapi.json").json()
    bounds = described["paths"]["/api/verdict"]["get"]["parameters"]
    assert {each["name"] for each in bounds} >= {"liveness", "reaction", "retries"}
    schemas = described["components"]["schemas"]
    assert {"Verdict", "Finding", "Placement", "Regret", "DeliveredBody", "DrainBody", "JournalState"} <= set(schemas)
    assert schemas["Verdict"]["properties"]["verdict"]["enum"] == ["fail", "pass", "unknown"]
    assert set(schemas["DeliveredBody"]["required"]) == {"job"}


def test_a_verdict_that_is_not_logged_is_the_same_and_writes_no_event(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    eventful(farm)
    farm.advance("60s")
    seq = farm.farm.log.seq
    unlogged = farm.control("GET", "/api/verdict?logged=false").json()
    assert farm.farm.log.seq == seq
    logged = farm.control("GET", "/api/verdict").json()
    assert {**unlogged, "seq": logged["seq"]} == logged
    refused = farm.control("GET", "/api/verdict?logged=false&since=1")
    assert (refused.status, "logged: " in refused.json()["error"]) == (422, True)
