"""The client that everybody writes for one ComfyUI, in front of three behind a proxy."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest_twisted
import treq
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress
from twisted.protocols.portforward import ProxyFactory, ProxyServer

from comfyfarm.clients import ComfyClient
from comfyfarm.testing import TwistedFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]

FARM = {"farm": {"clock": "virtual"}, "instance": [{"name": "gpu-{n}", "count": 3, "mode": "dynamic"}]}
NAME = {"comfyfarm_job": "order-1"}


class Balancer(ProxyFactory):
    """A TCP proxy that leads each connection to the next port."""

    noisy = False

    def __init__(self, ports: Iterator[int]) -> None:
        super().__init__("127.0.0.1", 0)
        self._ports = ports

    def buildProtocol(self, addr: IAddress | None) -> ProxyServer | None:
        self.port = next(self._ports)
        return super().buildProtocol(addr)


@asynccontextmanager
async def proxy(urls: Iterable[str]) -> AsyncIterator[str]:
    """The URL of a proxy in front of servers, which get the connections in turn."""
    from twisted.internet import reactor

    ports = cycle([urlsplit(url).port or 80 for url in urls])
    listening: Any = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(Balancer(ports))
    try:
        yield f"http://127.0.0.1:{listening.getHost().port}"
    finally:
        await listening.stopListening()


async def make_picture(url: str, farm: TwistedFarm, client_id: str = "app") -> int:
    """Submit, poll the history once a second, and fetch the picture; return the status of that."""
    body = {"prompt": text_to_image(), "client_id": client_id, "extra_data": NAME}
    prompt_id = (await (await treq.post(f"{url}/prompt", json=body, persistent=False)).json())["prompt_id"]
    history: dict[str, Any] = {}
    while prompt_id not in history:
        await farm.advance("1s")
        history = await (await treq.get(f"{url}/history/{prompt_id}", persistent=False)).json()
    (picture,) = history[prompt_id]["outputs"]["9"]["images"]
    answer = await treq.get(f"{url}/view?{urlencode(picture)}", persistent=False)
    await answer.content()
    await farm.advance("1s")
    return int(answer.code)


@pytest_twisted.ensureDeferred
async def test_behind_a_round_robin_proxy_a_poll_and_a_picture_go_to_the_wrong_instance(twisted_farm: Start) -> None:
    farm = await twisted_farm(FARM)
    async with proxy(farm.urls) as url:
        assert await make_picture(url, farm) == 404
    verdict = farm.verdict()
    assert verdict.verdict == "fail"
    finding = verdict.findings[0]
    assert (finding.finding, finding.job, finding.instance) == ("asked_elsewhere", "order-1", "gpu-1")
    assert "its history entry or its file ComfyUI_00001_.png was requested from gpu-2, gpu-3" in finding.says
    assert finding.says.endswith("nobody has taken its result so far.")


@pytest_twisted.ensureDeferred
async def test_behind_a_round_robin_proxy_a_websocket_is_at_the_wrong_instance(twisted_farm: Start) -> None:
    farm = await twisted_farm(FARM)
    async with proxy(farm.urls) as url:
        client = ComfyClient(url)
        async with client.listening() as messages:
            await client.submit(text_to_image(), extra_data=NAME)
            await farm.run_until_idle()
            kinds = {message["type"] for message in messages.take_heard() if isinstance(message, dict)}
        await client.close()
    assert "executed" not in kinds
    verdict = farm.verdict()
    assert verdict.verdict == "fail"
    finding = verdict.findings[0]
    assert (finding.finding, finding.job, finding.instance) == ("listened_elsewhere", "order-1", "gpu-2")
    assert "had its websocket at gpu-1 only" in finding.says


@pytest_twisted.ensureDeferred
async def test_behind_a_sticky_proxy_the_same_client_passes(twisted_farm: Start) -> None:
    """All connections of one client go to one instance."""
    farm = await twisted_farm(FARM)
    async with proxy([farm["gpu-2"].url]) as url:
        client = ComfyClient(url)
        async with client.listening() as messages:
            assert await make_picture(url, farm, client.client_id) == 200
            kinds = {message["type"] for message in messages.take_heard() if isinstance(message, dict)}
        await client.close()
    assert "executed" in kinds
    verdict = farm.verdict()
    found = [finding for finding in verdict.findings if finding.severity != "note"]
    assert (verdict.verdict, found) == ("pass", [])
