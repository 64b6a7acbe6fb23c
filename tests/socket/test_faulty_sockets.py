"""How a real client sees its websocket end: a close frame with its code, or a reset with what was said before."""

import asyncio
from collections.abc import Iterator
from socket import create_connection, socket
from urllib.parse import urlsplit

import aiohttp
import pytest

from comfyfarm.clients.comfy_sync import SyncComfyClient
from comfyfarm.testing.child import RunningFarm, run_farm
from comfyfarm.workflows import text_to_image

CONFIG = """
[[instance]]
name = "closing"
port = 0

[[instance]]
name = "resetting"
port = 0

[[fault]]
on = "closing"
at = { phase = "frame", type = "execution_start" }
do = "close"
code = 1001
reason = "going away"

[[fault]]
on = "resetting"
at = { phase = "frame", type = "execution_start" }
do = "gap"
duration = "1h"
"""

HANDSHAKE = (
    b"GET /ws?clientId=me HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def farm() -> Iterator[RunningFarm]:
    """Two instances, each with its own way to end a websocket."""
    with run_farm(CONFIG) as farm:
        yield farm


def test_a_clean_close_bears_code_and_reason(farm: RunningFarm) -> None:
    """As aiohttp reports it, behind the message at which it fired."""
    url, body = farm["closing"].url, {"prompt": text_to_image(), "client_id": "me"}

    async def listen() -> tuple[list[str], int | None, str | None]:
        heard = []
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=me") as ws:
            async with session.post(f"{url}/prompt", json=body) as answer:
                assert answer.status == 200
            while (message := await ws.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
                heard.append(message.json()["type"])
            assert message.type is aiohttp.WSMsgType.CLOSE
            return heard, ws.close_code, message.extra

    heard, code, reason = asyncio.run(listen())
    assert heard[0] == "status"
    assert heard[-1] == "execution_start"
    assert (code, reason) == (1001, "going away")


def test_a_reset_is_a_reset_and_loses_nothing_that_was_said_before(farm: RunningFarm) -> None:
    """``ECONNRESET``; the status that went out in the same turn is there, the message at which it fired is not."""
    address = urlsplit(farm["resetting"].url)
    with create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(HANDSHAKE)
        greeting = b""
        while b'"sid"' not in greeting:
            greeting += connection.recv(65536)
        SyncComfyClient(farm["resetting"].url).submit_workflow(text_to_image(), client_id="me")
        heard = _until_reset(connection)
    assert heard.count(b'"queue_remaining": 1') == 2
    assert b"execution_start" not in heard
    assert b"\x88" not in heard, "no close frame"


def _until_reset(connection: socket) -> bytes:
    heard = b""
    try:
        while piece := connection.recv(65536):
            heard += piece
    except ConnectionResetError:
        return heard
    pytest.fail("it was closed, and not reset")
