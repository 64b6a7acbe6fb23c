"""Assertions about farms on real sockets: in a child process, and in this reactor."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from comfyfarm.clients.comfy_sync import SyncComfyClient, ask
from comfyfarm.testing import ExpectationFailed, RunningFarm, TwistedFarm, run_farm
from comfyfarm.workflows import text_to_image

TWO = {"instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}
VIRTUAL = {"farm": {"clock": "virtual"}, **TWO}
MakeTwisted = Callable[..., Coroutine[Any, Any, TwistedFarm]]


def submit(farm: RunningFarm, name: str, **what: Any) -> str:
    return SyncComfyClient(farm[name].url).submit_workflow(text_to_image(**what))


def submit_named(farm: RunningFarm, name: str, job: str) -> None:
    ask("POST", f"{farm[name].url}/prompt", {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": job}})


def test_a_childs_virtual_clock_is_moved_until_it_is_so() -> None:
    with run_farm(VIRTUAL) as farm:
        submit(farm, "gpu-1", steps=10_000)
        with pytest.raises(
            ExpectationFailed, match=r"after 5 s of simulated time, at 5 s; .*\n.* unfinished: .*\n\n +0 ms"
        ):
            farm.assert_all_finished(within="5s")
        farm.assert_all_finished(within="1h")


def test_real_time_is_waited_for_in_a_child() -> None:
    with run_farm(TWO) as farm:
        with pytest.raises(ExpectationFailed, match="No job came: no request came at all"):
            farm.assert_all_finished()
        submit_named(farm, "gpu-1", "barn")
        with pytest.raises(ExpectationFailed, match=r"not so: 2 jobs came, and nothing ran twice \(.*; 1 job came; "):
            farm.assert_nothing_ran_twice(jobs=2)
        farm.assert_all_finished(jobs=1, within="10s")
        submit_named(farm, "gpu-2", "barn")
        farm.control.wait(idle=True)
        with pytest.raises(ExpectationFailed, match=r"error ran_twice: .*, on gpu-1 at"):
            farm.assert_verdict("pass", within=0.1)


@pytest_twisted.ensureDeferred
async def test_they_are_awaited_in_this_reactor(twisted_farm: MakeTwisted) -> None:
    """Real time passes, and other things in the reactor go on."""
    farm = await twisted_farm(TWO)
    await farm["gpu-1"].client.submit(text_to_image())
    with pytest.raises(ExpectationFailed, match="unfinished"):
        await farm.assert_all_finished()
    await farm.assert_all_finished(jobs=1, within="10s")
    await farm.assert_no_lost_jobs(jobs=1)


@pytest_twisted.ensureDeferred
async def test_software_in_this_reactor_can_answer_while_the_clock_is_moved(twisted_farm: MakeTwisted) -> None:
    """It hears on its websocket that a job is done, and sends the next one; the assertion waits for all of them."""
    farm = await twisted_farm(VIRTUAL)
    client = farm["gpu-1"].client
    done: list[str] = []

    async with client.listening() as messages:
        await client.submit(text_to_image(seed=0))

        async def one_after_another() -> None:
            async for message in messages:
                if isinstance(message, dict) and message["type"] == "execution_success":
                    done.append(message["data"]["prompt_id"])
                    if len(done) == 3:
                        return
                    await client.submit(text_to_image(seed=len(done)))

        working = Deferred.fromCoroutine(one_after_another())
        await farm.assert_all_finished(jobs=3, within="1h")
        await working
    assert farm.verdict().succeeded == 3
