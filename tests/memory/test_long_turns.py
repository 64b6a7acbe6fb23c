"""Long work of one instance: the others are served while it goes on."""

from collections import deque
from collections.abc import Callable
from json import dumps
from typing import Any
from uuid import UUID

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.events import QueueDeleted, TextSent
from comfyfarm.server.websocket.connection import SocketWriter
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.workflows import text_to_image

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
    assert (stream.heard, writer.backlog_bytes) == ([], 0)
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
            {"faults": [{"do": "reset", "at": "reply"}] * 1001},
            "faults: expected at most 1000 faults in one request, got 1001",
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


def test_what_fires_is_worked_out_once_for_many_faults_that_are_armed_and_healed_together(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    registry = farm.farm.registry
    empty = registry.watched
    farm.control("POST", "/api/faults", json={"faults": [{"do": "reset", "at": "reply", "on": "gpu-1"}] * 1000})
    watched = registry.watched
    assert watched is registry.watched is not empty
    assert [len(faults) for faults in watched["gpu-1"].values()] == [1000]
    farm.control("DELETE", "/api/faults")
    assert registry.watched == {}
    assert {state["state"] for state in farm.control("GET", "/api/faults").json()["faults"]} == {"removed"}
