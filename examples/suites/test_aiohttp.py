"""A service with aiohttp that follows the websocket, tested with anyio's plugin; the marker judges each test."""

import asyncio
import uuid

import aiohttp
import pytest

from comfyfarm.workflows import text_to_image

pytestmark = pytest.mark.anyio

TWO = {"instance": [{"name": "gpu-{n}", "count": 2, "mode": "dynamic", "timing": {"step": "5ms"}}]}


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def render(url, seed):
    """Return a picture, fetched when the websocket says that the job is over."""
    client_id = uuid.uuid4().hex
    async with aiohttp.ClientSession(url) as session, session.ws_connect(f"/ws?clientId={client_id}") as socket:
        body = {"prompt": text_to_image(seed=seed), "client_id": client_id}
        async with session.post("/prompt", json=body, raise_for_status=True) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        async for frame in socket:
            if frame.type == aiohttp.WSMsgType.TEXT and is_over(frame.json(), prompt_id):
                return await fetch(session, prompt_id)
    raise ConnectionError(f"{url} went away")


def is_over(message, prompt_id):
    return message["type"] == "executing" and message["data"] == {"node": None, "prompt_id": prompt_id}


async def fetch(session, prompt_id):
    async with session.get(f"/history/{prompt_id}") as answer:
        (picture,) = (await answer.json())[prompt_id]["outputs"]["9"]["images"]
    async with session.get("/view", params=picture) as answer:
        return await answer.read()


@pytest.mark.comfy_farm(config=TWO, verdict="pass", jobs=4)
async def test_every_user_gets_a_picture_of_their_own(async_comfy_farm):
    farm = await async_comfy_farm()
    pictures = await asyncio.gather(*(render(farm.urls[seed % 2], seed) for seed in range(4)))
    assert len(set(pictures)) == 4


@pytest.mark.comfy_farm(config=TWO, faults=[{"do": "crash", "at": "step", "on": "gpu-1", "times": 1}])
async def test_a_user_whose_server_crashes_is_told(async_comfy_farm):
    farm = await async_comfy_farm()
    order = await farm.order("portrait")
    with pytest.raises((aiohttp.ClientError, ConnectionError)) as error:
        await render(farm["gpu-1"].url, 0)
    await order.failed(str(error.value))
