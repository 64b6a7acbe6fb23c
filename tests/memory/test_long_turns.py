"""Long work of one instance: the others are served while it goes on."""

from base64 import b64encode
from collections import deque
from collections.abc import Callable
from json import dumps
from typing import Any
from uuid import UUID

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.events import InternalError, OrderReported, QueueDeleted, Submitted, TextSent
from comfyfarm.events.line_writer import LineWriter
from comfyfarm.server.time.clock import SimulatedTime
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.websocket.connection import SocketWriter
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.prompt.job_names import hash_of
from comfyfarm.sim.prompt.submission import PromptSource
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.testing.memory_client import Asking
from comfyfarm.workflows import text_to_image
from tests.support.instance_story import finished

Start = Callable[[Any], MemoryFarm]

TWO = {"instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}
COUNT = 200


def with_waiting_jobs(memory_farm: Start) -> tuple[MemoryFarm, list[str]]:
    """A farm whose first instance is paused, with ``COUNT`` jobs, and their ids."""
    farm = memory_farm(TWO)
    farm.control("POST", "/api/instances/gpu-1/pause")
    ids = [str(UUID(int=number, version=4)) for number in range(COUNT)]
    for prompt_id in ids:
        farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image(), "prompt_id": prompt_id})
    return farm, ids


def deleted(farm: MemoryFarm) -> list[str]:
    return [event.prompt_id for event in farm.farm.log.events if isinstance(event, QueueDeleted)]


def test_other_instances_answer_while_many_jobs_are_deleted(memory_farm: Start) -> None:
    farm, ids = with_waiting_jobs(memory_farm)
    exchange = farm.wire.begin(farm["gpu-1"].backend.site, "POST", "/queue", dumps({"delete": ids[::-1]}).encode())
    assert 0 < len(deleted(farm)) < 50
    assert exchange.reply() is None
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    farm.wire.reactor.advance(0)
    assert exchange.end().status == 200
    assert deleted(farm) == ids[::-1]


def test_a_question_to_the_farm_does_not_do_all_that_is_due_on_all_instances(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else 100 busy instances would stand still for as long as each of them may work in a turn, one after the other."""
    farm, caught_up = memory_farm({"instance": [{"name": "gpu-{n}", "count": 5}]}), list[InstanceDriver]()

    def catch_up(driver: InstanceDriver) -> int:
        caught_up.append(driver)
        return 0

    monkeypatch.setattr(SimulatedTime, "turn", lambda _: lambda: len(caught_up) < 3)
    monkeypatch.setattr(InstanceDriver, "catch_up", catch_up)
    farm.farm.catch_up()
    assert len(caught_up) == 3


def test_a_deletion_goes_on_if_its_client_leaves(memory_farm: Start) -> None:
    """As on a real server, whose handlers do not notice."""
    farm, ids = with_waiting_jobs(memory_farm)
    exchange = farm.wire.begin(farm["gpu-1"].backend.site, "POST", "/queue", dumps({"delete": ids}).encode())
    exchange.channel.connectionLost(Failure(ConnectionDone()))
    farm.wire.reactor.advance(0)
    assert deleted(farm) == ids


def test_a_deletion_waits_while_its_instance_is_frozen_and_ends_with_its_process(memory_farm: Start) -> None:
    farm, ids = with_waiting_jobs(memory_farm)
    site = farm["gpu-1"].backend.site
    exchange = farm.wire.begin(site, "POST", "/queue", dumps({"delete": ids[:150]}).encode())
    farm["gpu-1"].backend.process.freeze(worker=True)
    before = deleted(farm)
    farm.wire.reactor.advance(0)
    assert deleted(farm) == before
    farm["gpu-1"].backend.process.thaw()
    farm.wire.reactor.advance(0)
    assert deleted(farm) == ids[:150]
    assert exchange.end().status == 200
    farm.wire.begin(site, "POST", "/queue", dumps({"delete": ids[150:]}).encode())
    before = deleted(farm)
    assert len(before) < COUNT
    farm["gpu-1"].backend.crash()
    farm.wire.reactor.advance(0)
    assert deleted(farm) == before


def test_many_jobs_are_cancelled_in_turns_too(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1", "comfyui_version": "0.27.0"}]})
    farm.control("POST", "/api/instances/gpu-1/pause")
    site = farm["gpu-1"].backend.site
    posted = [farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image()}) for _ in range(COUNT)]
    ids = [reply.json()["prompt_id"] for reply in posted]
    exchange = farm.wire.begin(site, "POST", "/api/jobs/cancel", dumps({"job_ids": ids}).encode())
    assert 0 < len(deleted(farm)) < 50
    farm.wire.reactor.advance(0)
    assert exchange.end().json() == {"cancelled": True}
    assert deleted(farm) == ids


def upload(gpu: MemoryInstance, number: int, content: bytes = b"1") -> None:
    gpu.backend.disk.upload(gpu.backend.disk.input_dir / f"{number}.png", content)


def test_other_instances_answer_while_a_reset_removes_many_files(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    gpu = farm["gpu-1"]
    folder = gpu.backend.disk.input_dir
    before = set(folder.iterdir())
    for number in range(1000):
        upload(gpu, number)
    exchange = farm.wire.begin(farm.app.server.site, "POST", "/api/reset", b"{}")
    left = set(folder.iterdir()) - before
    assert 500 < len(left) < 1000
    assert exchange.reply() is None
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    last = min(left)
    gpu.backend.disk.upload(last, b"2")
    farm.wire.reactor.advance(0)
    assert exchange.end().status == 200
    assert set(folder.iterdir()) - before == {last}
    farm.control("POST", "/api/reset")
    assert set(folder.iterdir()) == before


def faulty_prompt(count: int) -> dict[str, Any]:
    """A prompt with this many outputs that all lack their picture; the answer names each of them at each before it."""
    return {str(number): {"class_type": "PreviewImage", "inputs": {}} for number in range(count)}


def test_other_instances_answer_while_the_errors_of_many_outputs_are_written(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    body = dumps({"prompt": faulty_prompt(500)}).encode()
    exchange = farm.wire.begin(farm["gpu-1"].backend.site, "POST", "/prompt", body)
    assert exchange.reply() is None
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    farm.wire.reactor.advance(0)
    reply = exchange.end()
    assert reply.status == 400
    errors = reply.json()["node_errors"]
    assert [int(node) for node in errors] == list(range(500))
    assert [error["dependent_outputs"][0] for error in errors.values()] == list(errors)
    assert [len(error["dependent_outputs"]) for error in errors.values()] == list(range(500, 0, -1))
    assert reply.body.decode() == dumps(reply.json())


def large_prompt(text: str) -> dict[str, Any]:
    """A prompt with one good output and many that name no picture, whose answer has 2.7 MB."""
    return {
        "a": {"class_type": "PrimitiveString", "inputs": {"value": text}},
        "b": {"class_type": "PreviewAny", "inputs": {"source": ["a", 0]}},
        **{f"{number}-{'x' * 80}": faulty for number, faulty in enumerate(faulty_prompt(1200).values())},
    }


def test_a_large_prompt_is_validated_in_turns_and_gets_the_same_answer(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    prompt = large_prompt("x")
    exchange = farm.wire.begin(farm["gpu-1"].backend.site, "POST", "/prompt", dumps({"prompt": prompt}).encode())
    assert not any(isinstance(event, Submitted) for event in farm.farm.log.events)
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    farm.wire.reactor.advance(0)
    reply = exchange.end()
    assert reply.status == 200
    assert list(reply.json()["node_errors"]) == list(prompt)[2:]
    assert reply.body.decode() == dumps(reply.json())
    (submitted,) = [event for event in farm.farm.log.events if isinstance(event, Submitted)]
    assert (submitted.outputs, submitted.job) == (("b",), hash_of(prompt))


def test_a_large_prompt_is_named_by_what_its_client_wrote(memory_farm: Start) -> None:
    """The validation makes a text of the number."""
    farm = memory_farm({**TWO, "farm": {"job_name": "input:a.value"}})
    prompt = large_prompt("x") | {"a": {"class_type": "PrimitiveInt", "inputs": {"value": 7.5}}}
    assert farm["gpu-1"].ask("POST", "/prompt", json={"prompt": prompt}).status == 200
    (submitted,) = [event for event in farm.farm.log.events if isinstance(event, Submitted)]
    assert submitted.job == "7.5"


def test_a_change_of_the_instance_counts_for_a_large_prompt_that_is_validated(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    body = {"prompt": large_prompt("x") | {"c": {"class_type": "Mine", "inputs": {}}}}
    source = PromptSource(validation=finished(farm["gpu-1"].backend.instance.validate_early(body))[0])
    with pytest.raises(PromptRejected):
        farm["gpu-1"].backend.instance.submit(body, source, 0)
    farm.control("PATCH", "/api/instances/gpu-1", json={"validation": "lenient"})
    assert farm["gpu-1"].backend.instance.submit(body, source, 0).node_errors


def test_a_client_may_leave_while_the_errors_of_its_prompt_are_written(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    site, body = farm["gpu-1"].backend.site, dumps({"prompt": faulty_prompt(500)}).encode()
    exchange = farm.wire.begin(site, "POST", "/prompt", body)
    exchange.channel.connectionLost(Failure(ConnectionDone()))
    farm.wire.reactor.advance(0)
    assert farm.wire.begin(site, "GET", "/queue").end().status == 200
    assert not any(isinstance(event, InternalError) for event in farm.farm.log.events)


@pytest.mark.parametrize("begins_at_once", [True, False])
def test_the_uploads_of_a_process_are_gone_before_the_next_one_begins(
    memory_farm: Start, begins_at_once: bool
) -> None:
    farm = memory_farm(TWO)
    gpu = farm["gpu-1"]
    folder = gpu.backend.disk.input_dir
    before = set(folder.iterdir())
    for number in range(1000):
        upload(gpu, number)
    gpu.backend.crash()
    assert 500 < len(set(folder.iterdir()) - before) < 1000
    if begins_at_once:
        gpu.backend.start()
    else:
        farm.wire.reactor.advance(0)
    assert set(folder.iterdir()) == before


def publish_texts(farm: MemoryFarm, count: int) -> None:
    for _ in range(count):
        farm.farm.log.publish(TextSent(at_ms=0, prompt_id="p", node="1", text="x"))


def writer_of_last_socket(farm: MemoryFarm) -> SocketWriter:
    """The producer that a transport pauses if it is full; one in memory never is."""
    writer = farm.wire._pumps[-1].serverIO.producer
    assert isinstance(writer, SocketWriter)
    return writer


def test_a_long_log_is_streamed_in_turns_and_then_live(memory_farm: Start) -> None:
    """All of it, in its order, with what happens in between; other requests are answered between two turns."""
    farm = memory_farm(TWO)
    stream = farm.wire.listen_at(farm.app.server.port.number, "/api/log/stream?since=0")
    writer = writer_of_last_socket(farm)
    writer.pauseProducing()
    publish_texts(farm, 1000)
    writer.resumeProducing()
    farm.wire._pumps[-1].flush(advanceClock=False)
    assert 0 < len(stream.heard) < 500
    farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image(steps=1)})
    farm.run_until_idle()
    farm.wire.reactor.advance(0)
    farm["gpu-2"].ask("POST", "/prompt", json={"prompt": text_to_image(steps=1)})
    farm.run_until_idle()
    assert [event["seq"] for event in stream.heard] == list(range(1, farm.farm.log.seq + 1))


def test_a_stream_waits_for_a_client_that_does_not_read_and_goes_on_when_it_does(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.farm.log.events = deque(farm.farm.log.events, maxlen=100)
    stream = farm.wire.listen_at(farm.app.server.port.number, "/api/log/stream?kind=text_sent")
    writer = writer_of_last_socket(farm)
    writer.pauseProducing()
    publish_texts(farm, 3)
    farm.wire.flush()
    assert (len(stream.heard), writer.backlog_bytes) == (0, 0)
    writer.resumeProducing()
    farm.wire.flush()
    assert len(stream.heard) == 3


def test_a_stream_ends_if_its_client_falls_behind_by_more_than_the_log_keeps(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.farm.log.events = deque(farm.farm.log.events, maxlen=100)
    stream = farm.wire.listen_at(farm.app.server.port.number, "/api/log/stream?kind=text_sent")
    writer = writer_of_last_socket(farm)
    publish_texts(farm, 1)
    seq = farm.farm.log.seq
    writer.pauseProducing()
    publish_texts(farm, 101)
    writer.resumeProducing()
    farm.wire.flush()
    assert len(stream.heard) == 1
    assert stream.goodbye == (1008, f"too slow: the log no longer has the events after {seq}")


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        (
            "POST",
            "/api/faults",
            {"faults": [{"do": "reset", "at": "reply"}] * 501},
            "faults: expected at most 500 faults in one request, got 501",
        ),
        (
            "PATCH",
            "/api/instances/gpu-1",
            {"missing_nodes": [f"Node{number}" for number in range(1001)]},
            "missing_nodes: expected at most 1000 values in one change, got 1001 or more",
        ),
        (
            "PATCH",
            "/api/instances/gpu-1",
            {"missing_nodes": [f"Mine{number}" for number in range(26)]},
            "missing_nodes: expected at most 25 names of no node type at a time, got 26, the first of them 'Mine0'",
        ),
        (
            "POST",
            "/api/faults",
            {"do": "reset", "at": "reply", "on": "*" * 201},
            f"on: expected a name or glob of at most 200 characters, got 201: '{'*' * 96}...",
        ),
        (
            "POST",
            "/api/faults",
            {"do": "reset", "at": {"phase": "reply", "client": "x" * 201}},
            f"at.client: expected a name or glob of at most 200 characters, got 201: '{'x' * 96}...",
        ),
        (
            "POST",
            "/api/gates",
            {"at": "reply", "on": ["gpu-1"] * 1001},
            "on: expected at most 1000 names or globs, got 1001",
        ),
        ("POST", "/api/faults", {"do": "duplicate", "at": "frame", "copies": 1001}, "copies: expected int <= 1000"),
        ("POST", "/api/trial", {"name": "x" * 1001}, "name: expected str of length <= 1000"),
        ("POST", "/api/orders", {"orders": [{"job": "x" * 1001}]}, "orders[0].job: expected str of length <= 1000"),
        ("POST", "/api/delivered", {"job": "x" * 1001}, "job: expected str of length <= 1000"),
        (
            "PATCH",
            "/api/instances/gpu-1",
            {"vram": "8GB", "models": {"loras": [], "vae": [f"{number}.pt" for number in range(10_000)]}},
            "models: expected at most 10000 values in one change, got 10002 or more",
        ),
        ("POST", "/api/orders", {"orders": [{"job": "o"}] * 10_001}, "orders: expected a list of length <= 10000"),
    ],
)
def test_a_request_for_more_than_one_turn_can_do_is_refused_and_changes_nothing(
    memory_farm: Start, method: str, path: str, body: object, error: str
) -> None:
    farm = memory_farm(TWO)
    before = farm.farm.log.seq
    reply = farm.control(method, path, json=body)
    assert (reply.status, reply.json()) == (422, {"error": error})
    assert farm.farm.log.seq == before


def test_a_body_that_is_longer_than_any_sensible_one_is_not_read(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    reply = farm.control("POST", "/api/faults", data=b" " * ((1 << 20) + 1))
    assert (reply.status, reply.json()) == (413, {"error": "the body is too large: at most 1048576 bytes are read"})
    picture = b64encode(b"x" * (1 << 20)).decode()
    assert farm.control("POST", "/api/delivered", json={"job": "o", "picture": picture}).status == 200


def test_node_types_that_are_missing_already_are_not_looked_for_again(memory_farm: Start) -> None:
    """However many they are, and whatever else changes."""
    names = [f"Mine{number}" for number in range(100)]
    farm = memory_farm({"instance": [{"name": "gpu-1", "missing_nodes": names}]})
    assert farm.control("PATCH", "/api/instances/gpu-1", json={"mode": "dynamic"}).status == 200
    change = {"missing_nodes": [*names, *(f"Yours{number}" for number in range(25))]}
    assert farm.control("PATCH", "/api/instances/gpu-1", json=change).status == 200


def begin(farm: MemoryFarm, method: str, path: str, body: object = None) -> Asking:
    data = b"" if body is None else dumps(body).encode()
    return farm.wire.begin(farm.app.server.site, method, path, data)


@pytest.mark.parametrize("path", ["/api/log", "/api/log?since=0", "/api/log?kind=text_sent&limit=999"])
def test_other_requests_are_answered_while_the_log_is_read(memory_farm: Start, path: str) -> None:
    farm = memory_farm(TWO)
    publish_texts(farm, 1000)
    exchange = begin(farm, "GET", path)
    assert exchange.reply() is None
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    publish_texts(farm, 10)
    farm.wire.reactor.advance(0)
    lines = exchange.end().body.splitlines()
    texts = [line for line in lines if b"text_sent" in line]
    assert len(texts) == (999 if "limit" in path else 1000)


def test_other_requests_are_answered_while_the_journal_is_read(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm["gpu-1"].ask("GET", "/queue")
    publish_texts(farm, 2500)
    farm["gpu-1"].ask("GET", "/queue")
    farm["gpu-1"].ask("GET", "/prompt")
    exchange = begin(farm, "GET", "/api/journal?limit=1")
    assert exchange.reply() is None
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    farm.wire.reactor.advance(0)
    journal = exchange.end().json()
    assert (journal["by_route"], len(journal["requests"])) == ({"GET /prompt": 1, "GET /queue": 2}, 1)


def test_the_log_is_the_same_bytes_however_many_turns_it_takes(memory_farm: Start) -> None:
    """A line that stands for several events is not torn."""
    farm = memory_farm(TWO)
    farm["gpu-1"].listen("me")
    for _ in range(20):
        farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image(), "client_id": "me"})
    farm.run_until_idle()
    events = tuple(farm.farm.log.events)
    assert len(events) > 1000
    assert farm.control("GET", "/api/log").body == LineWriter().lines(events)


def test_other_requests_are_answered_while_a_wait_searches_the_log(memory_farm: Start) -> None:
    """It finds what the log had, and what comes while it searches."""
    farm = memory_farm(TWO)
    publish_texts(farm, 1000)
    old = begin(farm, "POST", "/api/wait", {"event": {"kind": "text_sent", "seq": farm.farm.log.seq}})
    new = begin(farm, "POST", "/api/wait", {"event": {"kind": "trial_began"}})
    late = begin(farm, "POST", "/api/wait", {"event": {"kind": "server_stopped"}})
    assert (old.reply(), new.reply(), late.reply()) == (None, None, None)
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    farm.farm.analysis.begin_trial("t")
    farm.wire.reactor.advance(0)
    assert old.end().json()["event"]["text"] == "x"
    assert new.end().json()["event"]["name"] == "t"
    assert late.reply() is None
    farm.control("POST", "/api/instances/gpu-1/stop")
    assert late.end().json()["met"]


def test_many_orders_are_recorded_in_turns(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    exchange = begin(farm, "POST", "/api/orders", {"orders": [{"job": f"o{number}"} for number in range(2500)]})
    assert exchange.reply() is None
    assert farm.wire.begin(farm["gpu-2"].backend.site, "GET", "/queue").end().status == 200
    farm.wire.reactor.advance(0)
    assert exchange.end().json()["recorded"] == 2500
    assert [event.job for event in farm.farm.log.of(OrderReported)] == [f"o{number}" for number in range(2500)]


def test_what_fires_is_worked_out_once_for_many_faults_that_are_armed_and_healed_together(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    registry = farm.farm.registry
    empty = registry.watched
    farm.control("POST", "/api/faults", json={"faults": [{"do": "reset", "at": "reply", "on": "gpu-1"}] * 500})
    watched = registry.watched
    assert watched is registry.watched is not empty
    assert [len(faults) for faults in watched["gpu-1"].values()] == [500]
    farm.control("DELETE", "/api/faults")
    assert registry.watched == {}
    assert {state["state"] for state in farm.control("GET", "/api/faults").json()["faults"]} == {"removed"}


def test_a_large_prompt_is_read_in_turns_and_is_the_same_job_as_ever(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    prompt = text_to_image(prompt="a barn " * 60_000)
    large = farm["gpu-1"].ask("POST", "/prompt", json={"prompt": prompt})
    assert (large.status, large.json()["node_errors"]) == (200, {})
    (submitted,) = [event for event in farm.log if isinstance(event, Submitted)]
    assert submitted.job == hash_of(prompt)
    refused = farm["gpu-1"].ask("POST", "/prompt", data=b'{"prompt": ' + b" " * 300_000)
    assert refused.status == 500
