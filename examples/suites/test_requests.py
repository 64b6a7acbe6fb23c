"""A service with requests and threads: each thread tries the servers in turn until one has made its picture."""

import time
from concurrent.futures import ThreadPoolExecutor

import requests

from comfyfarm.workflows import text_to_image

THREE = {"instance": [{"name": "gpu-{n}", "count": 3, "mode": "dynamic", "timing": {"step": "5ms"}}]}


def render(urls, seed):
    """Return a picture; a server that refuses, or forgets the job, is left for the next one."""
    for number in range(10):
        url = urls[(seed + number) % len(urls)]
        try:
            answer = requests.post(f"{url}/prompt", json={"prompt": text_to_image(seed=seed)}, timeout=5)
            answer.raise_for_status()
            return fetch(url, answer.json()["prompt_id"])
        except (requests.RequestException, LookupError):
            time.sleep(0.05)
    raise TimeoutError(f"no server has made picture {seed}")


def fetch(url, prompt_id):
    """Wait for a job and return its picture.

    :raises LookupError: if the server does not know the job any more.
    """
    while prompt_id not in (history := requests.get(f"{url}/history/{prompt_id}", timeout=5).json()):
        queue = requests.get(f"{url}/queue", timeout=5).json()
        waiting = {job[1] for job in queue["queue_running"] + queue["queue_pending"]}
        if prompt_id not in waiting and not requests.get(f"{url}/history/{prompt_id}", timeout=5).json():
            raise LookupError(f"{url} has forgotten {prompt_id}")
        time.sleep(0.02)
    (picture,) = history[prompt_id]["outputs"]["9"]["images"]
    return requests.get(f"{url}/view", params=picture, timeout=5).content


def render_all(urls, count):
    with ThreadPoolExecutor(6) as threads:
        return list(threads.map(lambda seed: render(urls, seed), range(count)))


def test_every_user_gets_a_picture_of_their_own(comfy_farm):
    farm = comfy_farm(THREE)
    pictures = render_all(farm.urls, 6)
    assert len(set(pictures)) == 6
    farm.assert_verdict("pass", jobs=6)


def test_a_server_that_refuses_costs_nobody_a_picture(comfy_farm):
    farm = comfy_farm(THREE)
    with farm.fault(on="gpu-1", at="submit", do="status", status=503) as refusal:
        assert all(render_all(farm.urls, 6))
    assert refusal.fired > 0
    farm.assert_verdict("pass", jobs=6)


def test_what_a_crash_has_lost_is_made_elsewhere(comfy_farm):
    farm = comfy_farm(THREE)
    with farm.fault(on="gpu-2", at="step", do="crash", restart_after="100ms", times=1) as crash:
        assert all(render_all(farm.urls, 6))
    assert crash.fired == 1
    farm.assert_nothing_ran_twice(jobs=6)
    farm.assert_all_finished(jobs=6, within="5s")
