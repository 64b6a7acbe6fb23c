"""A farm that is used from an asyncio event loop, in which the software under test runs, too."""

import asyncio
from collections.abc import Callable

import pytest

from comfyfarm.clients import SyncComfyClient, SyncFarmControl
from comfyfarm.testing import AsyncRunningFarm, ExpectationFailed, attach_async_farm, run_async_farm, run_farm
from comfyfarm.workflows import text_to_image

TWO = {"instance": [{"name": "gpu-{n}", "count": 2}]}


async def submit(url: str) -> str:
    return await asyncio.to_thread(SyncComfyClient(url).submit_workflow, text_to_image())


async def finish(url: str, prompt_id: str) -> None:
    await asyncio.to_thread(SyncComfyClient(url).wait_for_completion, prompt_id)


def test_software_in_the_same_loop_goes_on_while_an_assertion_waits() -> None:
    async def send_later(farm: AsyncRunningFarm, is_waiting: asyncio.Event) -> None:
        await is_waiting.wait()
        await finish(farm.url, await submit(farm.url))

    async def check() -> None:
        async with run_async_farm(TWO) as farm:
            is_waiting = asyncio.Event()
            software = asyncio.create_task(send_later(farm, is_waiting))
            asyncio.get_running_loop().call_soon(is_waiting.set)
            await farm.assert_all_finished(jobs=1, within="20s")
            await software

    asyncio.run(check())


def test_a_failed_assertion_names_the_findings() -> None:
    async def check() -> None:
        async with run_async_farm(TWO) as farm:
            await farm.order("job-1")
            with pytest.raises(ExpectationFailed, match="unfinished: job-1 was ordered at"):
                await farm.assert_all_finished(jobs=1)

    asyncio.run(check())


def test_faults_gates_orders_log_and_control_are_awaited() -> None:
    async def check() -> None:
        async with run_async_farm(TWO) as farm:
            order = await farm.order("job-1")
            async with farm.fault(do="status", status=503, at="submit", on="gpu-2") as fault:
                assert (await fault.fired, await fault.fired_on, await fault.state) == (0, {"gpu-2": 0}, "armed")
            assert await fault.state == "removed"
            async with farm.hold(at="history", on="gpu-1") as gate:
                prompt_id = await submit(farm["gpu-1"].url)
                await farm.control.wait(event={"kind": "fault_fired", "do": "hold"}, since=0)
                assert [held.prompt_id for held in await gate.held] == [prompt_id]
                await gate.release()
                await finish(farm["gpu-1"].url, prompt_id)
            await order.delivered(prompt_id=prompt_id)
            assert len((await farm.log).requests(route="/prompt", method="POST")) == 1
            assert [event["job"] for event in await farm.control.log(kind="delivered")] == ["job-1"]
            same = attach_async_farm(farm.control_url)
            assert await same.trial("next") == (await farm.control.state()).trial == "next"
            await same.reset()

    asyncio.run(check())


@pytest.mark.parametrize("call", [lambda: run_farm(TWO), SyncFarmControl("http://127.0.0.1:9").state])
def test_the_blocking_farm_is_refused_in_a_loop_and_the_error_says_what_to_use(call: Callable[[], object]) -> None:
    async def check() -> None:
        call()

    with pytest.raises(RuntimeError, match=r"would block the event loop.*async_comfy_farm.*docs/asyncio.md"):
        asyncio.run(check())


def test_a_loop_that_only_runs_below_blocking_code_is_no_reason_to_refuse() -> None:
    """As under Playwright's blocking API."""
    refused: list[Exception] = []

    def call() -> None:
        try:
            SyncFarmControl("http://127.0.0.1:9").state()
        except (OSError, RuntimeError) as error:
            refused.append(error)
        loop.stop()

    loop = asyncio.new_event_loop()
    loop.call_soon(call)
    loop.run_forever()
    loop.close()
    assert [isinstance(error, OSError) for error in refused] == [True]
