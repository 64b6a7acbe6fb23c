"""Faults at HTTP exchanges on real sockets: what the system says of a reset, a close, a body cut short or slow."""

import errno
import json
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.events import Exchanged, Submitted
from comfyfarm.testing import TwistedFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], Coroutine[Any, Any, TwistedFarm]]
ONE = {"farm": {"clock": "virtual"}, "instance": [{"name": "gpu", "port": 0}]}
WHOLE = b'{"queue_running": [], "queue_pending": []}'


class Client(Protocol):
    """One connection, and all that comes over it."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Deferred[type[BaseException] | None] = Deferred()
        self._waiting: list[tuple[bytes, Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        while self._waiting and self.got.endswith(self._waiting[0][0]):
            self._waiting.pop(0)[1].callback(None)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 (Twisted's shape)
        self.lost.callback(reason.type)

    def say(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def until(self, end: bytes) -> Deferred[None]:
        """Wait until what has come ends so."""
        here: Deferred[None] = Deferred()
        self._waiting.append((end, here))
        return here


async def client_of(farm: TwistedFarm) -> Client:
    from twisted.internet import reactor

    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", farm["gpu"].backend.port.number)
    client = await endpoint.connect(Factory.forProtocol(Client))
    assert isinstance(client, Client)
    return client


def arm(farm: TwistedFarm, **fault: Any) -> None:
    farm.farm.fault_controller.arm(read_fault(fault))


def asking(path: str, method: str = "GET", body: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (
        method.encode(),
        path.encode(),
        len(body),
    ) + body


@pytest_twisted.ensureDeferred
async def test_a_reset_is_a_reset(twisted_farm: Start) -> None:
    """The system itself says ECONNRESET, which is not what a closed connection gives."""
    farm = await twisted_farm(ONE)
    arm(farm, at="request", do="reset")
    port = farm["gpu"].backend.port.number

    def ask() -> str:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(asking("/queue"))
            try:
                return repr(connection.recv(100))
            except OSError as why:
                return errno.errorcode[why.errno or 0]

    assert await deferToThread(ask) == "ECONNRESET"


@pytest_twisted.ensureDeferred
async def test_a_dropped_reply_is_a_clean_end_without_a_byte(twisted_farm: Start) -> None:
    """And the job is there."""
    farm = await twisted_farm(ONE)
    arm(farm, at={"phase": "reply", "route": "/prompt"}, do="drop")
    client = await client_of(farm)
    client.say(asking("/prompt", "POST", json.dumps({"prompt": text_to_image()}).encode()))
    assert await client.lost is ConnectionDone
    assert client.got == b""
    assert len(list(farm.farm.log.of(Submitted))) == 1


@pytest_twisted.ensureDeferred
async def test_a_body_is_cut_short_and_the_connection_closed(twisted_farm: Start) -> None:
    farm = await twisted_farm(ONE)
    arm(farm, at="view", do="truncate", share=0.5)
    client = await client_of(farm)
    client.say(asking("/view?filename=../input/kernie_512x768.jpg"))
    assert await client.lost is ConnectionDone
    head, _, body = client.got.partition(b"\r\n\r\n")
    (declared,) = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    assert int(declared.split()[1]) // 2 == len(body)


@pytest_twisted.ensureDeferred
async def test_a_body_drips_and_the_connection_is_kept(twisted_farm: Start) -> None:
    """Each piece is there before the next one is due; another request follows on the same connection."""
    farm = await twisted_farm(ONE)
    arm(farm, at="reply", do="drip", piece="20B", gap="1s", times=1)
    client = await client_of(farm)
    client.say(asking("/queue"))
    for end in (20, 40, 42):
        await client.until(WHOLE[:end])
        await farm.advance("1s")
    client.say(asking("/prompt"))
    await client.until(b'{"exec_info": {"queue_remaining": 0}}')
    assert client.got.count(b"HTTP/1.1 200 OK") == 2
    assert client.transport is not None
    client.transport.loseConnection()
    await client.lost


@pytest_twisted.ensureDeferred
async def test_who_hangs_up_while_it_waits_is_noticed(twisted_farm: Start) -> None:
    """Nothing is left behind, and nothing is logged as an error (see conftest.py)."""
    farm = await twisted_farm(ONE)
    arm(farm, at="request", do="delay", duration="1h")
    client = await client_of(farm)
    heard: Deferred[Exchanged] = Deferred()
    stop = farm.farm.log.listen(lambda event: heard.callback(event) if isinstance(event, Exchanged) else None)
    client.say(asking("/queue"))
    assert client.transport is not None
    client.transport.loseConnection()
    assert (await heard).status == 0
    stop()


@pytest.mark.parametrize("by", [-10, 10])
@pytest_twisted.ensureDeferred
async def test_a_wrong_length_goes_out(twisted_farm: Start, by: int) -> None:
    farm = await twisted_farm(ONE)
    arm(farm, at="reply", do="wrong_length", by=by)
    client = await client_of(farm)
    client.say(asking("/queue"))
    assert await client.lost is ConnectionDone
    assert b"Content-Length: %d\r\n" % (42 + by) in client.got
    assert client.got.endswith(WHOLE)
