"""Two incidents whose point only real sockets show: a process that dies, and one that is frozen."""

import errno
import json
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest_twisted
from twisted.internet.threads import deferToThread

from comfyfarm.events import FaultFired
from comfyfarm.testing import TwistedFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]

LONGEST_S = 30      # no test waits so long, unless it fails
HANDSHAKE = (
    b"GET /ws?clientId=me HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
QUEUE = b"GET /queue HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def stage(twisted_farm: Start, incident: str) -> TwistedFarm:
    """Two instances on a clock that the test moves; the incident befalls the first."""
    instance = {"name": "gpu-{n}", "count": 2, "port": 0}
    return await twisted_farm(
        {"farm": {"clock": "virtual"}, "instance": [instance], "scenario": [{"use": incident}]}
    )


def port_of(farm: TwistedFarm, name: str = "gpu-1") -> int:
    return farm[name].backend.port.number


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S)


def say(connection: socket.socket, request: bytes, until: bytes) -> bytes:
    """Send something, and read until an answer ends so."""
    connection.sendall(request)
    return read(connection, until)


def read(connection: socket.socket, until: bytes) -> bytes:
    got = b""
    while not got.endswith(until):
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


def how_it_ends(connection: socket.socket) -> tuple[bytes, str]:
    """What still comes, and what the system says then."""
    got = b""
    try:
        while piece := connection.recv(65536):
            got += piece
    except OSError as why:
        return got, errno.errorcode[why.errno or 0]
    return got, "closed"


@pytest_twisted.ensureDeferred
async def test_f03_a_process_that_dies_resets_its_sockets_and_closes_its_port(twisted_farm: Start) -> None:
    """``ECONNRESET`` on a websocket in the middle of a job and on an idle connection, then ``ECONNREFUSED``."""
    farm = await stage(twisted_farm, "F03")
    websocket, idle = [await deferToThread(connect, port_of(farm)) for _ in range(2)]
    with websocket, idle:
        await deferToThread(say, websocket, HANDSHAKE, b'"sid": "me"}}')
        await deferToThread(say, idle, QUEUE, b'"queue_pending": []}')
        prompt_id = await farm["gpu-1"].client.submit(text_to_image(), client_id="me")
        await farm.advance("1s")
        heard, how = await deferToThread(how_it_ends, websocket)
        assert how == "ECONNRESET"
        assert heard.count(b'"execution_start"') == 1
        assert json.dumps(prompt_id).encode() in heard
        assert b'"execution_success"' not in heard
        assert await deferToThread(how_it_ends, idle) == (b"", "ECONNRESET")
    assert await deferToThread(_refusal, port_of(farm)) == "ECONNREFUSED"
    assert await farm["gpu-2"].client.health()


def _refusal(port: int) -> str:
    try:
        connect(port).close()
    except OSError as why:
        return errno.errorcode[why.errno or 0]
    return "accepted"


@pytest_twisted.ensureDeferred
async def test_f25_a_frozen_port_takes_connections_and_says_nothing(twisted_farm: Start) -> None:
    """An old connection and a new one: both are open, and a whole simulated hour brings not a byte, till it thaws."""
    farm = await stage(twisted_farm, "F25")
    old = await deferToThread(connect, port_of(farm))
    await deferToThread(say, old, QUEUE, b'"queue_pending": []}')
    prompt_id = await farm["gpu-1"].client.submit(text_to_image(), client_id="me")
    await farm.advance("1s")
    assert [each.do for each in farm.farm.log.of(FaultFired)] == ["freeze"]
    new = await deferToThread(connect, port_of(farm))
    with old, new:
        for each in (old, new):
            each.sendall(QUEUE)
        await farm.advance("1h")
        assert await farm["gpu-2"].client.health(), "the farm itself is awake"
        assert [_so_far(each) for each in (old, new)] == ["nothing", "nothing"]
        await farm.heal()
        for each in (old, new):
            answer = await deferToThread(read, each, b'"queue_pending": []}')
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (await farm["gpu-1"].client.wait(prompt_id))["status"]["completed"]


def _so_far(connection: socket.socket) -> str:
    """What is there to be read, without waiting for more."""
    connection.setblocking(False)
    try:
        return repr(connection.recv(65536))
    except BlockingIOError:
        return "nothing"
    finally:
        connection.settimeout(LONGEST_S)
