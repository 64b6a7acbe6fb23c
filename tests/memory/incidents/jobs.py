"""Incidents within a job: it fails, stands still, or takes for ever, and the server is well or is not."""

from typing import Any

import pytest

from comfyfarm.events import Delivered, Finished
from tests.memory.incidents.asking import USUAL, data_of, entry_of, heard, post, queue
from tests.memory.incidents.table import Start, incident, stage

OUT_OF_MEMORY = (
    "Allocation on device \nThis error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before "
    "you might have accidentally set the batch_size to a large number."
)

EMPTY_PICTURE: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


@incident("F01")
def slow_boot_and_the_first_job_fails(memory_farm: Start) -> None:
    """Nobody listens for twenty seconds; then one job fails at its first node, and the same again goes well."""
    farm = stage(memory_farm, "F01")
    farm.advance("19999ms")
    with pytest.raises(ConnectionRefusedError):
        post(farm)
    farm.advance("1ms")
    me = farm["gpu-1"].listen("me")
    first = post(farm)
    farm.advance("1s")
    (error,) = data_of(me, "execution_error")
    assert error.items() >= {
        "prompt_id": first,
        "node_id": "4",
        "node_type": "CheckpointLoaderSimple",
        "exception_type": "RuntimeError",
        "exception_message": "CUDA error: device not ready\n",
        "executed": [],
        "timestamp": 1_700_000_020_000,
    }.items()
    assert heard(me)[1:] == (*USUAL[:5], "execution_error", "status 0", "executing")
    entry = entry_of(farm, first)
    assert (entry["outputs"], entry["status"]["status_str"], entry["status"]["completed"]) == ({}, "error", False)
    assert entry["status"]["messages"][-1] == ["execution_error", error]
    again = post(farm)
    farm.advance("331ms")
    assert entry_of(farm, again)["status"]["status_str"] == "success"
    assert heard(me)[-len(USUAL):] == USUAL


@incident("F02")
def a_model_takes_minutes_and_the_job_ends_for_nobody(memory_farm: Start) -> None:
    """Three minutes of silence at the loader; who hangs up after one leaves a job that ends, and nobody fetches."""
    farm = stage(memory_farm, "F02")
    without_model = farm["gpu-1"].ask("POST", "/prompt", json={"prompt": EMPTY_PICTURE}).json()["prompt_id"]
    farm.advance("16ms")
    assert entry_of(farm, without_model)["status"]["status_str"] == "success"
    me = farm["gpu-1"].listen("me")
    orphan = post(farm)
    farm.advance("1min")
    assert heard(me)[1:] == USUAL[:5]
    assert queue(farm) == ([orphan], [])
    me.transport.loseConnection()
    farm.advance("2min")
    farm.advance("330ms")
    assert (queue(farm), entry_of(farm, orphan)) == (([orphan], []), None)
    farm.advance("1ms")
    entry = entry_of(farm, orphan)
    assert entry["status"]["status_str"] == "success"
    assert entry["outputs"]["9"]["images"]
    assert not list(farm.farm.log.of(Delivered))
    warm = post(farm)
    farm.advance("331ms")
    assert entry_of(farm, warm)["status"]["status_str"] == "success"


@incident("F22")
def one_job_runs_out_of_memory(memory_farm: Start) -> None:
    """At its first step; the next one, sent while the first still ran, goes well."""
    farm = stage(memory_farm, "F22")
    me = farm["gpu-1"].listen("me")
    failing, next_one = post(farm), post(farm, seed=1)
    farm.run_until_idle()
    (error,) = data_of(me, "execution_error")
    assert error.items() >= {
        "prompt_id": failing,
        "node_id": "3",
        "node_type": "KSampler",
        "exception_type": "torch.OutOfMemoryError",
        "exception_message": OUT_OF_MEMORY,
        "executed": ["4", "5", "7", "6"],
    }.items()
    assert entry_of(farm, failing)["status"]["messages"][-1] == ["execution_error", error]
    assert entry_of(farm, failing)["outputs"] == {}
    assert entry_of(farm, next_one)["status"]["status_str"] == "success"
    assert data_of(me, "execution_success")[0]["prompt_id"] == next_one


@incident("F23")
def everything_fails_after_an_out_of_memory(memory_farm: Start) -> None:
    """Each job on that server, in any order; none on the other, and none after a restart."""
    farm = stage(memory_farm, "F23")
    me = farm["gpu-1"].listen("me")
    poisoned = [post(farm, seed=seed) for seed in range(3)]
    well = post(farm, "gpu-2")
    farm.run_until_idle()
    errors = data_of(me, "execution_error")
    assert [(each["prompt_id"], each["exception_type"]) for each in errors] == [
        (prompt_id, "torch.OutOfMemoryError") for prompt_id in poisoned
    ]
    assert [entry_of(farm, each)["status"]["status_str"] for each in poisoned] == ["error"] * 3
    assert entry_of(farm, well, "gpu-2")["status"]["status_str"] == "success"
    assert farm.control("POST", "/api/instances/gpu-1/restart").status == 200
    cured = post(farm)
    farm.run_until_idle()
    assert entry_of(farm, cured)["status"]["status_str"] == "success"


@incident("F24")
def a_node_hangs_and_cancel_does_nothing(memory_farm: Start) -> None:
    """An hour later the same job runs, and what waits behind it waits, until somebody restarts the process."""
    farm = stage(memory_farm, "F24")
    me = farm["gpu-1"].listen("me")
    hung, behind = post(farm), post(farm, seed=1)
    farm.advance("1s")
    reply = farm["gpu-1"].ask("POST", "/interrupt", json={"prompt_id": hung})
    assert (reply.status, reply.body) == (200, b"")
    farm.advance("1h")
    assert queue(farm) == ([hung], [behind])
    assert (entry_of(farm, hung), entry_of(farm, behind)) == (None, None)
    assert heard(me)[1:] == ("status 1", "status 1", "execution_start", "execution_cached", "executing 4", "status 2")
    assert not list(farm.farm.log.of(Finished))
    elsewhere = post(farm, "gpu-2", seed=1)
    farm.advance("331ms")
    assert entry_of(farm, elsewhere, "gpu-2")["status"]["status_str"] == "success"
    assert farm.control("POST", "/api/instances/gpu-1/restart").status == 200
    again = post(farm)
    farm.advance("331ms")
    assert entry_of(farm, again)["status"]["status_str"] == "success"
