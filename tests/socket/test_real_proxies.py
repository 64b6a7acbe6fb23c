"""The client that everybody writes for one ComfyUI, behind a balancer that people run: each that is installed here.

The same with a balancer of the tests' own, and in virtual time, is in ``test_wrong_instance.py``.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
JOBS, PATIENCE_S = 6, 10
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen farm
    bind 127.0.0.1:{port}
    balance {balance}
{servers}
"""
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream farm {{
        {balance}
{servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://farm;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"""


def haproxy(places: list[str], port: int, folder: Path, *, is_sticky: bool) -> list[str]:
    servers = "\n".join(f"    server s{number} {place}" for number, place in enumerate(places))
    file = folder / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, balance="source" if is_sticky else "roundrobin", servers=servers))
    return ["haproxy", "-db", "-f", str(file)]


def nginx(places: list[str], port: int, folder: Path, *, is_sticky: bool) -> list[str]:
    servers = "\n".join(f"        server {place};" for place in places)
    file = folder / "nginx.conf"
    balance = "ip_hash;" if is_sticky else ""
    file.write_text(NGINX.format(port=port, balance=balance, servers=servers, folder=folder))
    return ["nginx", "-c", str(file), "-p", str(folder)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def behind(proxy: Callable[..., list[str]], farm: RunningFarm, folder: Path, *, is_sticky: bool) -> Iterator[str]:
    """The URL of a balancer in front of a farm."""
    port = free_port()
    command = proxy([urlsplit(url).netloc for url in farm.urls], port, folder, is_sticky=is_sticky)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


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
            async with asyncio.timeout(2):
                while True:
                    message = await messages.receive_json()
                    if message["type"] == "executed":
                        (picture,) = message["data"]["output"]["images"]
                        async with session.get("/view", params=picture) as view:
                            return view.ok
        except TimeoutError:
            return False


@pytest.fixture(params=[haproxy, nginx])
def proxy(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    kind: Callable[..., list[str]] = request.param
    if shutil.which(kind.__name__) is None:
        pytest.skip(f"{kind.__name__} is not installed")
    return kind


@pytest.mark.parametrize(
    ("make_picture", "finding"),
    [(poll, "asked_elsewhere"), (lambda url, job: asyncio.run(listen(url, job)), "listened_elsewhere")],
    ids=["poll", "listen"],
)
@pytest.mark.parametrize("is_sticky", [False, True], ids=["round robin", "sticky"])
def test_a_client_behind_a_balancer_fails_by_name_unless_it_is_sticky(
    proxy: Callable[..., list[str]],
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
