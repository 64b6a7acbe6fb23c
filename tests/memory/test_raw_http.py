"""HTTP byte by byte: heads and bodies of the kinds that aiohttp refuses or that few clients send."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from comfyfarm.events import Exchanged
from comfyfarm.testing import MemoryFarm, MemoryInstance

Start = Callable[[Any], MemoryFarm]

ADDRESS = IPv4Address("TCP", "127.0.0.1", 80)
TROUBLE = b"500 Internal Server Error\n\nServer got itself in trouble"
FAULT = {"do": "status", "status": 503, "at": {"phase": "reply"}}
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def gpu_of(memory_farm: Start, **settings: Any) -> MemoryInstance:
    return memory_farm({"instance": [{"name": "gpu", **settings}]})["gpu"]


def send(gpu: MemoryInstance, *pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Send bytes over a new connection; return the answer's first line, the rest, and whether it was closed."""
    channel, transport = gpu.backend.site.buildProtocol(ADDRESS), StringTransport(ADDRESS, ADDRESS)
    assert channel is not None
    channel.makeConnection(transport)
    for piece in pieces:
        channel.dataReceived(piece)
    channel.connectionLost(Failure(ConnectionDone()))
    line, _, rest = transport.value().partition(b"\r\n")
    return line, rest, transport.disconnecting


def head(line: str, *fields: str) -> bytes:
    return "\r\n".join((line, "Host: 127.0.0.1:80", *fields, "", "")).encode()


def test_an_idle_connection_stays_open_for_an_hour(memory_farm: Start) -> None:
    """For 3,630 s, as by aiohttp: a pool of connections outlives a pause between two jobs."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    channel, transport = farm["gpu"].backend.site.buildProtocol(ADDRESS), StringTransport(ADDRESS, ADDRESS)
    assert channel is not None
    channel.makeConnection(transport)
    channel.dataReceived(head("GET /queue HTTP/1.1"))
    farm.wire.reactor.advance(3629)
    assert not transport.disconnecting
    farm.wire.reactor.advance(2)
    assert transport.disconnecting
    channel.connectionLost(Failure(ConnectionDone()))


@pytest.mark.parametrize("faulty", [False, True])
def test_a_connection_of_http_1_0_is_kept_on_request(memory_farm: Start, faulty: bool) -> None:
    """As benchmarks and older proxies want it; also if a fault watches the exchange."""
    farm = memory_farm({"instance": [{"name": "gpu"}], "fault": [FAULT] if faulty else []})
    kept, plain = head("GET /queue HTTP/1.0", "Connection: keep-alive"), head("GET /queue HTTP/1.0")
    line, rest, closed = send(farm["gpu"], kept, kept, plain)
    status = b"HTTP/1.0 503 Service Unavailable" if faulty else b"HTTP/1.0 200 OK"
    assert (line, rest.count(status), closed) == (status, 2, True)
    assert rest.count(b"Connection: keep-alive\r\n") == 2


@pytest.mark.parametrize("pieces", [(b"\x16\x03\x01\x02\x00\x01\x00" + b"Z" * 500,), (b"\x16", b"\x03\x01\x02\x00")])
def test_https_fails_at_once(memory_farm: Start, pieces: tuple[bytes, ...]) -> None:
    """A client that speaks TLS gets an answer that is none of TLS, and no silence."""
    line, rest, closed = send(gpu_of(memory_farm), *pieces)
    assert (line, closed) == (b"HTTP/1.0 400 Bad Request", True)
    assert rest.endswith(b"\r\n\r\nReceived HTTPS traffic on an HTTP port")


@pytest.mark.parametrize(
    ("request_bytes", "text"),
    [
        (b"GET /queue HTTP/1.1\r\n\r\n", b"Missing 'Host' header in request."),
        (head("GET /queue HTTP/1.1", "Host: x"), b"Duplicate 'Host' header found."),
        (head("GET /queue HTTP/1.1", *["X-A: v"] * 128), b"Too many headers received"),
        (head("GET /queue HTTP/1.1", "X-A: " + "v" * 9000), b"vvv...'."),
        (head("GET /queue HTTP/1.1", "X-A: " + "v" * 70_000), b"vvv...'."),
        (head("GET /" + "x" * 20_000 + " HTTP/1.1"), b"xxx...')."),
        (b"GET /" + b"x" * 20_000, b"xxx...')."),      # no end in sight
        (b"GET /queue HTTP/1.1\nHost: x\n\n", b"Missing expected CR"),
        (head("GET /queue HTTP/3.0"), b"Bad Request"),
        (head("PUSH /queue HTTP/1.1"), b"^"),
        (head("POST /prompt HTTP/1.1", "Content-Length: x"), b"Bad Request"),
    ],
)
def test_a_bad_head_gets_one_400_and_the_connection_is_closed(
    memory_farm: Start, request_bytes: bytes, text: bytes
) -> None:
    """In HTTP/1.0, as aiohttp answers what it cannot parse; nothing that follows is read."""
    line, rest, closed = send(gpu_of(memory_farm), request_bytes, head("GET /queue HTTP/1.1"))
    assert (line, closed) == (b"HTTP/1.0 400 Bad Request", True)
    assert rest.endswith(text)
    assert b"Content-Type: text/plain; charset=utf-8\r\n" in rest


def test_many_long_fields_are_no_problem(memory_farm: Start) -> None:
    """Each is measured by itself, in every request of a connection."""
    request = head("GET /queue HTTP/1.1", *(f"X-{index}: {'v' * 8000}" for index in range(100)))
    line, rest, closed = send(gpu_of(memory_farm), request, b"\r\n\r\n", request)
    assert (line, rest.count(b"HTTP/1.1 200 OK"), closed) == (b"HTTP/1.1 200 OK", 1, False)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1:80/queue", 200),
        ("http://other.example/api/queue?x=1", 200),
        ("/queue#part", 200),
        ("http://other.example/nope", 404),
        ("http://other.example", 404),
        ("http://other.example//queue", 404),
    ],
)
def test_an_absolute_target_means_the_same_path(memory_farm: Start, target: str, status: int) -> None:
    """Clients send it to a proxy, and proxies pass it on."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    assert int(send(farm["gpu"], head(f"GET {target} HTTP/1.1"))[0].split()[1]) == status
    (exchanged,) = [event for event in farm.log if isinstance(event, Exchanged)]
    assert exchanged.status == status
    assert not exchanged.path.startswith("http")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["//queue", "//", "///x", "http://other.example"])
def test_two_slashes_take_no_other_method_than_get(memory_farm: Start, method: str, path: str) -> None:
    line, rest, _ = send(gpu_of(memory_farm), head(f"{method} {path} HTTP/1.1"))
    assert line == b"HTTP/1.1 405 Method Not Allowed"
    assert b"Allow: GET,HEAD\r\n" in rest


# Bodies.


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("DEFLATE", zlib.compress)])
def test_a_compressed_body_is_read(
    memory_farm: Start, encoding: str, compress: Callable[[bytes], bytes], chunked: bool
) -> None:
    """For every route; a client may send it in chunks."""
    gpu = gpu_of(memory_farm)
    body = compress(b'{"a": "%s"}' % (b"b" * 1000))
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    request = head("POST /settings HTTP/1.1", f"Content-Encoding: {encoding}", length) + sent
    assert send(gpu, request)[0] == b"HTTP/1.1 200 OK"
    assert gpu.ask("GET", "/settings/a").json() == "b" * 1000


def test_a_compressed_body_counts_as_what_it_becomes(memory_farm: Start) -> None:
    gpu = gpu_of(memory_farm, max_upload_size="1KB")
    for size, status in ((1022, 200), (1023, 413), (50_000_000, 413)):
        body = gzip.compress(b'"' + b"x" * size + b'"')
        assert len(body) < 1024 or status == 413
        assert gpu.ask("POST", "/settings/a", data=body, headers={"Content-Encoding": "gzip"}).status == status


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/interrupt", "/upload/image", "/userdata/a.json"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_not_so_compressed_makes_comfyui_raise(memory_farm: Start, path: str, encoding: str) -> None:
    """Only where the body is read."""
    gpu = gpu_of(memory_farm)
    headers = {"Content-Encoding": encoding, "Content-Type": "multipart/form-data; boundary=x"}
    reply = gpu.ask("POST", path, data=b"{}", headers=headers)
    assert (reply.status, reply.body) == (500, TROUBLE)
    assert gpu.ask("GET", "/queue", data=b"{}", headers=headers).status == 200


def test_a_500_closes_the_connection(memory_farm: Start) -> None:
    """After an exception of a handler it is not trusted; other refusals keep it."""
    gpu = gpu_of(memory_farm)
    line, rest, closed = send(gpu, head("POST /prompt HTTP/1.1", "Content-Length: 1") + b"{")
    assert (line, closed) == (b"HTTP/1.1 500 Internal Server Error", True)
    assert b"Connection: close\r\n" in rest
    assert [send(gpu, head(f"{line} HTTP/1.1"))[2] for line in ("GET /nope", "POST /nope", "GET //x")] == [False] * 3


@pytest.mark.parametrize(("count", "status"), [(1000, 400), (1001, 413)])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_form_has_a_thousand_fields_at_most(memory_farm: Start, kind: str, count: int, status: int) -> None:
    if kind.startswith("multipart"):
        part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
        body = part * count + b"--x--\r\n"
    else:
        body = b"&".join([b"a=b"] * count)
    for path in ("/upload/image", "/upload/mask"):
        reply = gpu_of(memory_farm).ask("POST", path, data=body, headers={"Content-Type": kind})
        assert reply.status == status
        if status == 413:
            assert reply.body == b"Maximum number of form fields 1000 exceeded."


# Expectations and websockets.


@pytest.mark.parametrize("path", ["/queue", "/nope", "//x", "/ws"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_only_one_expectation_can_be_met(memory_farm: Start, method: str, path: str) -> None:
    """Before anything else is looked at."""
    gpu = gpu_of(memory_farm)
    line, rest, closed = send(gpu, head(f"{method} {path} HTTP/1.1", "Expect: Wonders", "Sec-Fetch-Site: cross-site"))
    assert (line, closed) == (b"HTTP/1.1 417 Expectation Failed", False)
    assert rest.endswith(b"\r\n\r\nUnknown Expect: Wonders")
    for expected in ("Expect: 100-Continue", "Expect:"):
        assert b" 417 " not in b"".join(send(gpu, head(f"{method} {path} HTTP/1.1", expected))[:2])


@pytest.mark.parametrize("key", [None, "", "YWJj", "YWJj" * 8, "!!!", KEY.rstrip("=")])
def test_a_broken_key_opens_no_websocket(memory_farm: Start, key: str | None) -> None:
    fields = [] if key is None else [f"Sec-WebSocket-Key: {key}"]
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    line, rest, _ = send(gpu_of(memory_farm), head("GET /ws HTTP/1.1", *upgrade, *fields))
    assert line == b"HTTP/1.1 400 Bad Request"
    assert rest.endswith(f"\r\n\r\nHandshake error: {key!r}".encode())


@pytest.mark.parametrize("fields", [["Sec-WebSocket-Version: 8"], ["Sec-WebSocket-Version: 7", "Sec-WebSocket-Key: x"]])
def test_older_versions_open_a_websocket_and_the_first_key_counts(memory_farm: Start, fields: list[str]) -> None:
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}")
    line, rest, _ = send(gpu_of(memory_farm), head("GET /ws HTTP/1.1", *upgrade, *fields))
    assert line == b"HTTP/1.1 101 Switching Protocols"
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in rest


def test_a_key_beyond_ascii_makes_aiohttp_fail(memory_farm: Start) -> None:
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: é")
    assert send(gpu_of(memory_farm), head("GET /ws HTTP/1.1", *upgrade))[0] == b"HTTP/1.1 500 Internal Server Error"
