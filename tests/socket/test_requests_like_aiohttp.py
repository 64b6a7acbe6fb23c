"""Are odd requests taken and refused as by aiohttp, which ComfyUI stands on?  Both get the same bytes."""

import gzip
import socket
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from comfyfarm.testing import MemoryFarm
from tests.support.aiohttp_server import served

Start = Callable[[Any], MemoryFarm]

ADDRESS = IPv4Address("TCP", "127.0.0.1", 80)
BODY = b'{"a": 1}'


def head(line: str, *fields: str, host: str | None = "x") -> bytes:
    return "\r\n".join((line, *([] if host is None else [f"Host: {host}"]), *fields, "", "")).encode("latin-1")


def post(body: bytes, *fields: str) -> bytes:
    return head("POST /settings HTTP/1.1", *fields, f"Content-Length: {len(body)}") + body


REQUESTS = {
    "plain": head("GET /queue HTTP/1.1"),
    "no host": head("GET /queue HTTP/1.1", host=None),
    "no host in 1.0": head("GET /queue HTTP/1.0", host=None),
    "two hosts": head("GET /queue HTTP/1.1", "Host: y"),
    "two types": post(BODY, "Content-Type: a/b", "Content-Type: c/d"),
    "two lengths": post(BODY, "Content-Length: 8"),
    "two agents": head("GET /queue HTTP/1.1", "User-Agent: a", "User-Agent: b"),
    **{f"{count} fields": head("GET /queue HTTP/1.1", *["X-A: v"] * (count - 1)) for count in (128, 129)},
    **{f"field of {size}": head("GET /queue HTTP/1.1", "X-A: " + "v" * size) for size in (8100, 8191, 70_000)},
    **{f"target of {size}": head("GET /queue?" + "x" * (size - 7) + " HTTP/1.1") for size in (8190, 8191, 70_000)},
    "folded field": head("GET /queue HTTP/1.1", "X-A: v\r\n w"),
    "control character": head("GET /queue HTTP/1.1", "X-A: \x01"),
    "latin-1 field": head("GET /queue HTTP/1.1", "X-A: é"),
    "field without colon": head("GET /queue HTTP/1.1", "nonsense"),
    "line feeds only": b"GET /queue HTTP/1.1\nHost: x\n\n",
    "empty lines first": b"\r\n\r\n" + head("GET /queue HTTP/1.1"),
    "https": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"Z" * 508,
    "small method": head("get /queue HTTP/1.1"),
    "unknown method": head("WISH /queue HTTP/1.1"),
    **{
        target: head(f"GET {target} HTTP/1.1")
        for target in (
            "http://y/queue", "http://y:80/api/queue?a=1", "http://y/nope.css", "http://y", "http://y//queue",
            "http://y:a/queue", "http:///queue", "http://[::1/queue", "/queue#a", "queue", "*", "?a", "y:80", "//queue",
        )
    },
    **{f"POST {target}": head(f"POST {target} HTTP/1.1") for target in ("//queue", "//", "/nope")},
    "expect wonders": head("GET /queue HTTP/1.1", "Expect: wonders"),
    "expect wonders of nothing": head("POST /nope HTTP/1.1", "Expect: wonders"),
    "expect nothing": head("GET /queue HTTP/1.1", "Expect:"),
    "gzip": post(gzip.compress(BODY), "Content-Encoding: gzip"),
    "gzip, cut": post(gzip.compress(BODY)[:-4], "Content-Encoding: gzip"),
    "no gzip": post(BODY, "Content-Encoding: gzip"),
    "deflate": post(zlib.compress(BODY), "Content-Encoding: deflate"),
    "brotli": post(BODY, "Content-Encoding: br"),
    "no JSON": post(b"{"),
}  # fmt: skip


async def _answer(_: web.Request) -> web.Response:
    return web.Response()


async def _read(request: web.Request) -> web.Response:
    await request.json()
    return web.Response()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where aiohttp serves two routes and a folder."""
    app = web.Application()
    for prefix in ("", "/api"):
        app.router.add_get(f"{prefix}/queue", _answer)
        app.router.add_post(f"{prefix}/settings", _read)
    app.router.add_static("/", tmp_path_factory.mktemp("page"))
    with served(app) as number:
        yield number


CONNECTIONS = [
    ("1.1",), ("1.1", "close"), ("1.1", "Close, TE"), ("1.1", "TE, close"), ("1.1", "keep-alive"),
    ("1.1", "x", "close"), ("1.0",), ("1.0", "keep-alive"), ("1.0", "Keep-Alive, TE"), ("1.0", "close"),
]  # fmt: skip


def theirs(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer: bytes = connection.recv(65536)
    return answer.partition(b"\r\n\r\n")[0].lower()


def ours(farm: MemoryFarm, request: bytes) -> bytes:
    channel, transport = farm["gpu"].backend.site.buildProtocol(ADDRESS), StringTransport(ADDRESS, ADDRESS)
    assert channel is not None
    channel.makeConnection(transport)
    channel.dataReceived(request)
    channel.connectionLost(Failure(ConnectionDone()))
    answer: bytes = transport.value()
    return answer.partition(b"\r\n\r\n")[0].lower()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_gets_the_same_status(memory_farm: Start, port: int, name: str) -> None:
    """And the same version of HTTP, which tells a refusal of the parser from others."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    here, there = ours(farm, REQUESTS[name]), theirs(port, REQUESTS[name])
    assert here.partition(b"\r\n")[0] == there.partition(b"\r\n")[0]


@pytest.mark.parametrize("case", CONNECTIONS, ids=str)
def test_a_connection_is_kept_or_closed_alike(memory_farm: Start, port: int, case: tuple[str, ...]) -> None:
    """And the answer says so in the same words."""
    version, *wishes = case
    request = head(f"GET /queue HTTP/{version}", *(f"Connection: {wish}" for wish in wishes))
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    said = [
        [line for line in answer.split(b"\r\n") if line.startswith(b"connection:")]
        for answer in (ours(farm, request), theirs(port, request))
    ]
    assert said[0] == said[1]
