"""Clients on real sockets that read slowly, or send requests without reading the answers."""

import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest_twisted
from twisted.internet.threads import deferToThread

from comfyfarm.testing import TwistedFarm

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]

REQUEST = b"GET /object_info HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET /queue HTTP/1.1\r\nHost: h\r\n\r\n"
COUNT = 12


def received(port: int, *sends: bytes) -> bytes:
    """Send bytes, and only then read in small pieces what comes, up to the answer to ``LAST``."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        for data in sends:
            client.sendall(data)
        pieces = [b""]
        while not b"".join(pieces[-3:]).endswith(b'"queue_pending": []}'):
            pieces.append(client.recv(20_000))
            assert pieces[-1], "the connection was closed early"
    return b"".join(pieces)


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_gets_every_byte_in_order(twisted_farm: Start) -> None:
    """Of one answer that the system does not take at once, and of many that wait for each other."""
    farm = await twisted_farm({"instance": [{"name": "gpu", "port": 0}]})
    port, body = farm["gpu"].backend.port.number, farm["gpu"].backend.process.parts.api.catalogue.object_info()
    cases = (1, [REQUEST, LAST]), (COUNT, [REQUEST * COUNT + LAST]), (COUNT, [*[REQUEST] * COUNT, LAST])
    for count, sends in cases:
        answers = await deferToThread(received, port, *sends)
        bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert [answer == body for answer in bodies] == [True] * count + [False]
