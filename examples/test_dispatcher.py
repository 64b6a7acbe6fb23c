"""The tests of a dispatcher: what you would write for yours.

    pytest examples/test_dispatcher.py                          # the good one passes
    pytest examples/test_dispatcher.py --dispatcher naive       # the naive one fails; read why

Time is virtual.  It jumps to what is due next whenever nobody has anything to say: for the servers, and for the
dispatcher, which waits on the same clock.  So nobody sleeps, and half a minute of patience costs a moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted

from comfyfarm.workflows import text_to_image
from examples.conftest import Stage
from examples.dispatcher import Job, ModelAffine, Policy, RoundRobin, ShortestQueue

StartStage = Callable[..., Awaitable[Stage]]

SDXL, FLUX = "sdxl.safetensors", "flux.safetensors"
GPU = {"mode": "dynamic", "timing": {"step": "1s"}, "models": {"checkpoints": [SDXL]}}
POST_PROMPT = {"route": "/prompt", "method": "POST"}


def farm_of(*instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A farm on a clock that is moved."""
    return {"farm": {"clock": "virtual", "seed": 7}, "instance": [{**GPU, **each} for each in instances], **more}


def gpus(count: int, **more: Any) -> dict[str, Any]:
    """A farm of equal servers: ``gpu-1``, ``gpu-2`` and so on."""
    return farm_of({"name": "gpu-{n}", "count": count}, **more)


def jobs(count: int, model: str = SDXL, steps: int = 4) -> list[Job]:
    """Small pictures; each takes about as many seconds as it has steps on a GPU of the usual speed."""
    made = []
    for number in range(1, count + 1):
        workflow = text_to_image(seed=number, steps=steps)
        workflow["4"]["inputs"]["ckpt_name"] = model
        made.append(Job(f"job-{number}", workflow))
    return made


# A good day.


@pytest.mark.parametrize("policy", [RoundRobin, ShortestQueue, ModelAffine])
@pytest_twisted.ensureDeferred
async def test_every_job_comes_back_once(stage: StartStage, policy: Callable[[], Policy]) -> None:
    """With a picture of its own, whatever the policy."""
    on = await stage(gpus(3), policy())
    await on.run(jobs(9))
    await on.all_is_well()
    assert sorted(each.job.name for each in on.results) == [f"job-{n}" for n in range(1, 10)]
    assert len({each.pictures for each in on.results}) == 9


@pytest_twisted.ensureDeferred
async def test_a_burst_is_spread_over_the_servers(stage: StartStage) -> None:
    """Nobody takes a queue for empty because he looked before his own jobs got there."""
    on = await stage(gpus(4))
    await on.run(jobs(12))
    await on.all_is_well()
    herding, misplaced = on.farm.placement().herding, on.farm.placement().misplacements.each
    assert herding.longest <= 2, "\n".join(each.says for each in misplaced)
    assert not misplaced


@pytest_twisted.ensureDeferred
async def test_unequal_servers_bear_unequal_loads(stage: StartStage) -> None:
    """Jobs keep coming; they are done about as soon as an ideal shortest queue would have it."""
    slow, fast = ({"name": name, "timing": {"step": step}} for name, step in (("slow", "4s"), ("fast", "500ms")))
    on = await stage(farm_of(slow, {"name": "usual"}, fast))
    await on.run(jobs(18), every_s=2)
    await on.all_is_well()
    placement = on.farm.placement()
    assert placement.depth_error.worst <= 1
    ideal = placement.regret.policies["shortest_queue"]
    assert placement.regret.tested.mean_total_ms <= 1.1 * ideal.mean_total_ms
    assert placement.regret.tested.makespan_ms <= 1.1 * ideal.makespan_ms


@pytest_twisted.ensureDeferred
async def test_a_server_that_has_the_model_in_memory_is_preferred(stage: StartStage) -> None:
    """Jobs for two models, mixed: no server has to throw one out for the other."""
    gpu = {"vram": "24GB", "timing": {"step": "1s", "load_per_gb": "1s"}}
    gpu["models"] = {"checkpoints": [f"{SDXL}:15GB", f"{FLUX}:20GB"]}
    on = await stage(farm_of({"name": "gpu-{n}", "count": 2, **gpu}), ModelAffine())
    mixed = [job for pair in zip(jobs(12, SDXL)[::2], jobs(12, FLUX)[1::2], strict=True) for job in pair]
    await on.run(mixed, every_s=3)
    await on.all_is_well()
    affinity = on.farm.placement().affinity
    assert affinity.loads == 2
    assert affinity.thrash == 0


@pytest_twisted.ensureDeferred
async def test_a_model_that_one_server_has_is_looked_for_there(stage: StartStage) -> None:
    """And a job for one that none has is refused at once, without a try."""
    on = await stage(farm_of({"name": "gpu-1"}, {"name": "gpu-2", "models": {"checkpoints": [SDXL, FLUX]}}))
    await on.run(jobs(4, FLUX))
    await on.all_is_well()
    assert {each.backend for each in on.results} == {"gpu-2"}
    await on.run(jobs(5, "unknown.safetensors")[4:])
    assert str(on.failures["job-5"]) == "job-5: no server has unknown.safetensors"
    await on.farm.assert_verdict("pass")


# Answers and jobs that fail.


@pytest_twisted.ensureDeferred
async def test_a_job_whose_answer_was_lost_is_not_run_twice(stage: StartStage) -> None:
    """The server has taken the job on; only nobody heard it say so."""
    on = await stage(gpus(2))
    async with on.farm.fault(on="gpu-1", at=POST_PROMPT | {"phase": "reply"}, do="drop", times=1) as lost_answer:
        await on.run(jobs(4))
    await on.farm.control.wait(idle=True)
    await on.all_is_well()
    assert lost_answer.fired == 1


@pytest_twisted.ensureDeferred
async def test_a_server_that_asks_to_be_left_alone_is(stage: StartStage) -> None:
    """503 with Retry-After: its job goes elsewhere at once, and no other comes before the time is over."""
    on = await stage(gpus(2))
    busy = {"on": "gpu-1", "at": POST_PROMPT | {"phase": "request"}, "do": "status", "status": 503}
    async with on.farm.fault(**busy, retry_after="20s", until="15s") as asked:
        await on.run(jobs(8), every_s=5)
    await on.all_is_well()
    assert asked.fired == 1
    assert {each.backend for each in on.results} == {"gpu-1", "gpu-2"}


@pytest_twisted.ensureDeferred
async def test_a_job_that_fails_is_reported_and_not_tried_again(stage: StartStage) -> None:
    """It would fail elsewhere, too."""
    on = await stage(gpus(2))
    at = {"phase": "node", "node_type": "VAEDecode"}
    async with on.farm.fault(at=at, do="error", message="the latent is empty") as raised:
        await on.run(jobs(1))
    await on.farm.assert_verdict("pass")
    assert str(on.failures["job-1"]) == "job-1: the latent is empty"
    assert raised.fired == 1


# Servers that go away.


@pytest_twisted.ensureDeferred
async def test_a_job_is_not_done_because_its_server_was_started_anew(stage: StartStage) -> None:
    """Nobody saw it crash; its queue is empty, as if the job had ended."""
    on = await stage(gpus(2))
    async with on.farm.fault(on="gpu-1", at="step", do="crash", skip=2, times=1, restart_after="50ms") as crash:
        await on.run(jobs(4))
    await on.all_is_well()
    assert crash.fired == 1


@pytest_twisted.ensureDeferred
async def test_what_a_dead_server_had_is_done_by_another(stage: StartStage) -> None:
    """It does not come back; one job was running there, and another waited."""
    on = await stage(gpus(2))
    async with on.farm.fault(on="gpu-1", at="step", do="crash", skip=2, times=1):
        await on.run(jobs(4))
    await on.all_is_well()
    assert {each.backend for each in on.results} == {"gpu-2"}


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_nothing_for_a_while_keeps_its_jobs(stage: StartStage) -> None:
    """They are neither lost nor sent elsewhere."""
    on = await stage(gpus(2))
    async with on.farm.fault(on="gpu-1", at="step", do="freeze", skip=2, times=1, duration="8s") as silence:
        await on.run(jobs(4))
    await on.all_is_well()
    assert silence.fired == 1


@pytest_twisted.ensureDeferred
async def test_a_rolling_restart_loses_nothing(stage: StartStage) -> None:
    """Each server in its turn, while jobs keep coming; some come before any server is up."""
    restarts = [{"at": f"{10 * n}s", "restart": f"gpu-{n}"} for n in (1, 2, 3)]
    gpu = {"name": "gpu-{n}", "count": 3, "timing": {"step": "1s", "boot": "5s"}}
    on = await stage(farm_of(gpu, scenario=[{"name": "rolling restart", "step": restarts}]))
    await on.run(jobs(20), every_s=2)
    await on.all_is_well()
    assert len(on.results) == 20


@pytest_twisted.ensureDeferred
async def test_a_job_that_kills_servers_does_not_kill_them_all(stage: StartStage) -> None:
    """After two it is held to be the cause."""
    on = await stage(gpus(4))
    async with on.farm.fault(at={"phase": "node", "node_type": "VAEDecode"}, do="crash", restart_after="5s") as crash:
        await on.run(jobs(1))
    await on.farm.assert_verdict("pass")
    assert str(on.failures["job-1"]) == "job-1 took 2 servers with it"
    assert crash.fired == 2
