"""Long work of one instance: the others are served while it goes on."""

from collections.abc import Callable
from json import dumps
from typing import Any
from uuid import UUID

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.events import QueueDeleted
from comfyfarm.testing import MemoryFarm
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
