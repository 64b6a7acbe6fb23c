"""Does a whole farm hold together under clients that are not ours?"""

import asyncio
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import aiohttp
import pytest
import requests

from comfyfarm.clients.comfy_sync import SyncComfyClient
from comfyfarm.testing.child import RunningFarm, run_farm
from comfyfarm.workflows import text_to_image

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def trio() -> Iterator[RunningFarm]:
    """Three dynamic instances, the last one slower, in a time that passes ten times as fast."""
    instances: list[dict[str, Any]] = [{"name": name, "mode": "dynamic"} for name in NAMES]
    instances[-1]["timing"] = {"step": "50ms"}
    with run_farm({"farm": {"speed": 10.0}, "instance": instances}) as farm:
        yield farm


def post(url: str, seed: int) -> str:
    """Submit with requests, as most users do."""
    answer = requests.post(f"{url}/prompt", json={"prompt": text_to_image(seed=seed, steps=5)}, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["prompt_id"])


def pictures(url: str, prompt_id: str) -> dict[str, str]:
    """The SHA-256 of each picture of a job, by name."""
    client = SyncComfyClient(url)
    client.wait_for_completion(prompt_id)
    return {
        file["filename"]: hashlib.sha256(client.download(file)).hexdigest()
        for file in client.get_output_files(prompt_id)
    }


def test_concurrent_jobs_unique_files(mock_comfyui_url_dynamic: str) -> None:
    """Ten jobs posted at the same moment: ten names, ten contents."""
    with ThreadPoolExecutor(10) as pool:
        jobs = list(pool.map(lambda seed: post(mock_comfyui_url_dynamic, seed), range(10)))
        made = list(pool.map(lambda job: pictures(mock_comfyui_url_dynamic, job), jobs))
    assert len({name for job in made for name in job}) == 10
    assert len({digest for job in made for digest in job.values()}) == 10


def test_twenty_posts_at_once_to_each_of_three_instances(trio: RunningFarm) -> None:
    """Every post is taken on, under an id and a number of its own, and runs on the instance it was sent to."""
    trio.reset()
    posts = [(url, seed) for seed in range(20) for url in trio.urls]
    with ThreadPoolExecutor(20) as pool:
        jobs = list(pool.map(lambda each: (each[0], post(*each)), posts))
    assert len({prompt_id for _, prompt_id in jobs}) == 60
    for url in trio.urls:
        client, mine = SyncComfyClient(url), {prompt_id for to, prompt_id in jobs if to == url}
        for prompt_id in mine:
            client.wait_for_completion(prompt_id)
        history = client.get_history()
        assert set(history) == mine
        assert len({entry["prompt"][0] for entry in history.values()}) == 20


def test_load_spread_over_three_instances_gives_pictures_that_differ(trio: RunningFarm) -> None:
    """Twelve jobs round-robin: unique by instance and name, and by content, with nothing lost."""
    trio.reset(files=True)
    jobs = [(name, post(trio[name].url, seed)) for seed, name in zip(range(12), cycle(NAMES), strict=False)]
    made = {
        (name, filename): digest
        for name, prompt_id in jobs
        for filename, digest in pictures(trio[name].url, prompt_id).items()
    }
    assert len(made) == len(set(made.values())) == 12
    assert [sum(1 for where, _ in made if where == name) for name in NAMES] == [4, 4, 4]
    assert all((trio[name].output_dir / filename).is_file() for name, filename in made)


def test_a_websocket_client_that_is_not_ours_hears_its_job(mock_comfyui_url_dynamic: str) -> None:
    """A client made with aiohttp hears one job from its start to its end."""
    heard = asyncio.run(hear_one_job(mock_comfyui_url_dynamic))
    kinds = [message["type"] for message in heard]
    assert kinds[0] == "status"
    assert kinds.index("execution_start") < kinds.index("executed") < kinds.index("execution_success")
    assert heard[-1]["data"]["node"] is None


async def hear_one_job(url: str) -> list[dict[str, Any]]:
    """Submit and follow one job, as ComfyUI's own websocket example does."""
    heard = []
    async with aiohttp.ClientSession(url) as session, session.ws_connect("/ws?clientId=me") as socket:
        body = {"prompt": text_to_image(), "client_id": "me"}
        async with session.post("/prompt", json=body) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        async for frame in socket:
            heard.append(frame.json())
            if heard[-1]["type"] == "executing" and heard[-1]["data"] == {"node": None, "prompt_id": prompt_id}:
                return heard
    raise AssertionError("the server hung up")
