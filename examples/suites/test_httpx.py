"""A service with httpx, tested with pytest-asyncio: test, service and assertions share one event loop."""

import asyncio

import httpx
import pytest

from comfyfarm.workflows import text_to_image

pytestmark = pytest.mark.asyncio

TWO = {"instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic", "timing": {"step": "5ms"}}]}


async def render(http, urls, seed):
    """Return a picture; a server that refuses or resets is left for the next one."""
    for number in range(10):
        url = urls[(seed + number) % len(urls)]
        try:
            answer = await http.post(f"{url}/prompt", json={"prompt": text_to_image(seed=seed)})
            answer.raise_for_status()
        except httpx.HTTPError:
            await asyncio.sleep(0.05)
        else:
            return await fetch(http, url, answer.json()["prompt_id"])
    raise TimeoutError(f"no server has taken picture {seed}")


async def fetch(http, url, prompt_id):
    while not (history := (await http.get(f"{url}/history/{prompt_id}")).json()):
        await asyncio.sleep(0.02)
    (picture,) = history[prompt_id]["outputs"]["9"]["images"]
    return (await http.get(f"{url}/view", params=picture)).content


async def test_every_user_gets_a_picture_of_their_own(async_comfy_farm):
    farm = await async_comfy_farm(TWO)
    async with httpx.AsyncClient() as http:
        pictures = await asyncio.gather(*(render(http, farm.urls, seed) for seed in range(4)))
    assert len(set(pictures)) == 4
    await farm.assert_verdict("pass", jobs=4)


async def test_the_service_goes_on_while_the_test_waits(async_comfy_farm):
    farm = await async_comfy_farm(TWO)
    async with httpx.AsyncClient() as http, farm.fault(on="gpu-1", at="submit", do="status", status=503, times=2):
        users = [asyncio.create_task(render(http, farm.urls, seed)) for seed in range(4)]
        await farm.assert_all_finished(jobs=4, within="10s")
        await asyncio.gather(*users)


async def test_a_held_job_is_finished_once_the_gate_lets_it_go(async_comfy_farm):
    farm = await async_comfy_farm(TWO)
    async with httpx.AsyncClient() as http, farm.hold(on="gpu-1", at="history") as gate:
        user = asyncio.create_task(render(http, farm.urls, 0))
        while not await gate.held:
            await asyncio.sleep(0.02)
        assert not user.done()
        await gate.release()
        assert await user
