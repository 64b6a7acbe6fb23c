"""The client that everybody writes for one ComfyUI, behind a balancer that people run: each that is installed here.

The balancers are configured as docs/balancers.md says.
The same with a balancer of the tests' own, and in virtual time, is in ``test_wrong_instance.py``.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
import requests

from comfyfarm.testing import RunningFarm
from comfyfarm.workflows import text_to_image

FARM = {
    "farm": {"speed": 50.0},
    "instance": [{"name": "gpu-{n}", "count": 3, "mode": "dynamic", "timing": {"step": "100ms"}}],
}
JOBS, PATIENCE_S = 3, 10
PAGE = (Path(__file__).parents[2] / "docs" / "balancers.md").read_text("utf-8")


@dataclass(frozen=True)
class Proxy:
    """A balancer that people run.

    :ivar file: the name of its configuration, whose text stands in its section of the page.
    :ivar sticky: what makes it sticky, and what stands there for round robin.
    """

    program: str
    file: str
    arguments: tuple[str, ...]
    sticky: tuple[str, str]

    def command(self, places: list[str], port: int, folder: Path, *, is_sticky: bool) -> list[str]:
        """Write the configuration of the page for these servers, and return the command that runs it in the folder."""
        text = re.search(rf"^`{re.escape(self.file)}`.*?^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        assert text is not None
        config = text.group(1).replace("8080", str(port))
        for place, documented in zip(places, ("8188", "8189", "8190"), strict=True):
            assert documented in config
            config = config.replace(documented, place.rpartition(":")[2])
        assert self.sticky[0] in config
        (folder / self.file).write_text(config if is_sticky else config.replace(*self.sticky))
        return [self.program, *(argument.format(port=port) for argument in self.arguments)]


PROXIES = [
    Proxy("haproxy", "haproxy.cfg", ("-db", "-f", "haproxy.cfg"), ("balance source", "balance roundrobin")),
    Proxy("nginx", "nginx.conf", ("-p", ".", "-c", "nginx.conf"), ("ip_hash;", "")),
    Proxy("envoy", "envoy.yaml", ("-c", "envoy.yaml", "--base-id", "{port}"), ("RING_HASH", "ROUND_ROBIN")),
    Proxy(
        "traefik",
        "comfyui.yaml",
        (
            "--entryPoints.web.address=127.0.0.1:{port}", "--providers.file.filename=comfyui.yaml",
            "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false",
        ),
        ("strategy: hrw", "strategy: wrr"),
    ),
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def behind(proxy: Proxy, farm: RunningFarm, folder: Path, *, is_sticky: bool) -> Iterator[str]:
    """The URL of a balancer in front of a farm."""
    port = free_port()
    command = proxy.command([urlsplit(url).netloc for url in farm.urls], port, folder, is_sticky=is_sticky)
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s and not _answers(url):
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/queue", timeout=5).ok
    except requests.ConnectionError:
        return False


def poll(url: str, job: str) -> bool:
    """Submit, poll the history and fetch the picture; return whether it came."""
    body = {"prompt": text_to_image(prefix=job), "extra_data": {"comfyfarm_job": job}}
    prompt_id = requests.post(f"{url}/prompt", json=body, timeout=10).json()["prompt_id"]
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        entry = requests.get(f"{url}/history/{prompt_id}", timeout=10).json().get(prompt_id)
        if entry is not None:
            (picture,) = entry["outputs"]["9"]["images"]
            return requests.get(f"{url}/view?{urlencode(picture)}", timeout=10).ok
    return False


async def listen(url: str, job: str) -> bool:
    """Submit, wait for the end over the websocket, and fetch the picture; return whether it came."""
    client = f"client-{job}"
    body = {"prompt": text_to_image(prefix=job), "client_id": client, "extra_data": {"comfyfarm_job": job}}
    async with aiohttp.ClientSession(url) as session, session.ws_connect(f"/ws?clientId={client}") as messages:
        async with session.post("/prompt", json=body) as answer:
            assert answer.status == 200
        try:
            async with asyncio.timeout(1):
                while True:
                    message = await messages.receive_json()
                    if message["type"] == "executed":
                        (picture,) = message["data"]["output"]["images"]
                        async with session.get("/view", params=picture) as view:
                            return view.ok
        except TimeoutError:
            return False


@pytest.fixture(params=PROXIES, ids=lambda proxy: str(proxy.program))
def proxy(request: pytest.FixtureRequest) -> Proxy:
    proxy: Proxy = request.param
    if shutil.which(proxy.program) is None:
        pytest.skip(f"{proxy.program} is not installed")
    return proxy


@pytest.mark.parametrize(
    ("make_picture", "finding"),
    [(poll, "asked_elsewhere"), (lambda url, job: asyncio.run(listen(url, job)), "listened_elsewhere")],
    ids=["poll", "listen"],
)
@pytest.mark.parametrize("is_sticky", [False, True], ids=["round robin", "sticky"])
def test_a_client_behind_a_balancer_fails_by_name_unless_it_is_sticky(
    proxy: Proxy,
    comfy_farm: Callable[..., RunningFarm],
    tmp_path: Path,
    make_picture: Callable[[str, str], bool],
    finding: str,
    *,
    is_sticky: bool,
) -> None:
    farm: Any = comfy_farm(FARM)
    farm.trial(jobs=JOBS)
    with behind(proxy, farm, tmp_path, is_sticky=is_sticky) as url:
        came = sum(make_picture(url, f"order-{number}") for number in range(JOBS))
    if is_sticky:
        assert came == JOBS
        farm.assert_verdict("pass", jobs=JOBS)
    else:
        assert came < JOBS
        verdict = farm.verdict()
        assert verdict.verdict == "fail"
        assert finding in [each.finding for each in verdict.findings]
