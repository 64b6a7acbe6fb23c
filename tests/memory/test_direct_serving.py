"""Requests that are served directly get what Twisted and Klein would send, byte for byte."""

import gc
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from klein import Klein
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from comfyfarm.events import Exchanged
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.route_table import RouteTable
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

ADDRESS = IPv4Address("TCP", "127.0.0.1", 80)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
BODIES = {
    "/prompt": json.dumps({"prompt": text_to_image(), "client_id": "me"}).encode(),
    "/queue": b'{"delete": ["x"]}',
    "/history": b'{"delete": ["x"]}',
}
RULES = sorted({rule.rule for rule in ComfyApi.app.url_map.iter_rules()})
FIELDS = ("Accept: */*", "Accept-Encoding: gzip, deflate", "Connection: keep-alive", "Cookie: a=b; c=d")


def requests() -> Iterator[bytes]:
    """Every route with every method, with and without the prefix, with a known and an unknown name."""
    for rule in RULES:
        for name in ("checkpoints", "nope") if "<" in rule else ("",):
            path = re.sub(r"<[^>]*>", name, rule)
            for method in METHODS:
                for prefix in ("", "/api"):
                    yield request(method, prefix + path, BODIES.get(rule, b"{}") if method == "POST" else b"")
    for path in ("/queue?x=%20&y=1", "/history?max_items=1", "/queue/", "//queue", "/a%2Fb", "/nope", "/api/api/jobs"):
        yield request("GET", path)
    for body in (b"", b"{", b'{"prompt": {}}', b'{"prompt": {"1": {"class_type": "Nope"}}}', b"[" * 2000):
        yield request("POST", "/prompt", body)
    yield request("GET", "/queue", b"a body")
    yield request("POST", "/queue", b"{}", "Content-Type: application/json; charset=latin-1", "X-Comfyfarm-Job: j")


def request(method: str, path: str, body: bytes = b"", *fields: str) -> bytes:
    length = (f"Content-Length: {len(body)}",) if body else ()
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: h", *FIELDS, *fields, *length, "", "")).encode() + body


class Client:
    """One connection to an instance."""

    def __init__(self, gpu: MemoryInstance) -> None:
        self.transport = StringTransport(ADDRESS, ADDRESS)
        channel: Any = gpu.backend.site.buildProtocol(ADDRESS)
        self.channel = channel
        channel.makeConnection(self.transport)

    def send(self, data: bytes) -> tuple[bytes, bool]:
        """Send bytes; return what came back, without dates and temporary folders, and whether that was all."""
        self.transport.clear()
        self.channel.dataReceived(data)
        answer = re.sub(rb"(\r\nDate: )[^\r]*|(/comfyfarm-)\w*", rb"\1\2", self.transport.value())
        return answer, self.transport.disconnecting

    def close(self) -> None:
        self.channel.connectionLost(Failure(ConnectionDone()))


def spied(gpu: MemoryInstance) -> list[bool]:
    """Note of each ordinary request whether it was served directly."""
    site, served = gpu.backend.site, []
    serve = site.serve_directly
    assert serve is not None

    def spy(channel: Any, whole: Any) -> bool:
        served.append(serve(channel, whole))
        return served[-1]

    site.serve_directly = spy
    return served


@pytest.mark.parametrize("settings", [{}, {"enable_cors": True}, {"comfyui_version": "0.3.40"}], ids=str)
def test_every_route_gives_the_same_bytes_and_events(memory_farm: Start, settings: dict[str, Any]) -> None:
    """On new connections and on one that is kept, job or no job; only the date may differ."""
    config = {"farm": {"seed": 1}, "instance": [{"name": "gpu", **settings}]}
    direct, slow = memory_farm(config), memory_farm(config)
    served = spied(direct["gpu"])
    slow["gpu"].backend.site.serve_directly = None
    clients = Client(direct["gpu"]), Client(slow["gpu"])
    for number, data in enumerate(requests()):
        (ours, is_closed), theirs = (client.send(data) for client in clients)
        assert (ours, is_closed) == theirs, data
        if is_closed or not ours:
            for client in clients:
                client.close()
            clients = Client(direct["gpu"]), Client(slow["gpu"])
        if number % 50 == 0:
            direct.advance(1)
            slow.advance(1)
    for client in clients:
        client.close()
    assert sum(served) > len(RULES)
    events = [[event for event in farm.log if event.instance] for farm in (direct, slow)]
    assert events[0] == events[1]
    assert any(isinstance(event, Exchanged) and event.status == 500 for event in events[0])


def test_an_armed_fault_and_a_web_page_take_the_long_way(memory_farm: Start) -> None:
    """So that the fault fires and the origin is checked; afterwards all is served directly again."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    served, client = spied(farm["gpu"]), Client(farm["gpu"])
    assert client.send(request("GET", "/queue"))[0].startswith(b"HTTP/1.1 200 OK")
    with farm.fault(do="status", status=503, at={"phase": "reply"}):
        assert client.send(request("GET", "/queue"))[0].startswith(b"HTTP/1.1 503 Service Unavailable")
    foreign = request("GET", "/queue", b"", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site")
    assert client.send(foreign)[0].startswith(b"HTTP/1.1 403 Forbidden")
    assert client.send(request("GET", "/queue"))[0].startswith(b"HTTP/1.1 200 OK")
    client.close()
    assert served == [True, False, False, True]


def test_a_body_that_is_too_large_is_refused(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu", "max_upload_size": "1KB"}]})
    client = Client(farm["gpu"])
    assert client.send(request("POST", "/queue", b"x" * 1025))[0].startswith(b"HTTP/1.1 413 ")
    client.close()


def test_requests_in_pieces_or_several_at_once_are_answered_in_order(memory_farm: Start) -> None:
    """They take the long way, and the connection serves directly afterwards."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    served, client = spied(farm["gpu"]), Client(farm["gpu"])
    one, other = request("GET", "/queue"), request("GET", "/prompt")
    assert client.send(one[:30]) == (b"", False)
    assert b"queue_running" in client.send(one[30:])[0]
    assert re.findall(rb"queue_running|exec_info", client.send(one + other)[0]) == [b"queue_running", b"exec_info"]
    assert b"exec_info" in client.send(other)[0]
    client.close()
    assert served == [True]


def test_a_route_may_write_its_answer_itself(memory_farm: Start) -> None:
    """As any route of Klein's; the log has the exchange, and the connection goes on."""
    app = Klein()

    @app.route("/mine", methods=["GET"])
    def mine(_api: ComfyApi, request: Any) -> None:
        request.setHeader(b"content-length", b"4")
        request.write(b"mine")
        request.finish()

    farm = memory_farm({"instance": [{"name": "gpu"}]})
    serve: Any = farm["gpu"].backend.site.serve_directly
    serve.__self__.table = RouteTable(app)
    client = Client(farm["gpu"])
    for _ in range(2):
        answer, is_closed = client.send(request("GET", "/mine"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nServer: Python/3.11 aiohttp/3.14.5\r\nDate: \r\n")
        assert answer.endswith(b"\r\nContent-Length: 4\r\n\r\nmine")
        assert not is_closed
    assert b"queue_running" in client.send(request("GET", "/queue"))[0]     # by Klein, which has all routes
    client.close()
    exchanges = [(event.path, event.status, event.size_bytes) for event in farm.farm.log.of(Exchanged)]
    assert exchanges == [("/mine", 200, 4), ("/mine", 200, 4), ("/queue", 200, 42)]


def test_a_request_leaves_nothing_for_the_garbage_collector(memory_farm: Start) -> None:
    """Which would take a tenth of the time of all requests."""
    client = Client(memory_farm({"instance": [{"name": "gpu"}]})["gpu"])
    gc.collect()
    gc.disable()
    try:
        before = sum(type(thing) is ComfyRequest for thing in gc.get_objects())
        for path in ("/queue", "/history/x", "/system_stats"):
            client.send(request("GET", path))
        assert sum(type(thing) is ComfyRequest for thing in gc.get_objects()) == before
    finally:
        gc.enable()
    client.close()


class SlowReader(StringTransport):
    """The connection of a client that reads only when the test lets it, behind Twisted's buffer."""

    producer: Any

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.value()) > _BUFFER_BYTES:
            self.producer.pauseProducing()

    def read(self) -> bytes:
        """Take everything that was sent, upon which the server goes on."""
        taken = self.value()
        self.clear()
        self.producer.resumeProducing()
        return bytes(taken)


_BUFFER_BYTES = 64 * 1024


@pytest.mark.parametrize("pieces", [1, 3])
def test_requests_wait_until_the_client_has_read_the_answers(memory_farm: Start, pieces: int) -> None:
    """However many it sends at once: the server's memory holds one large answer of them."""
    gpu = memory_farm({"instance": [{"name": "gpu"}]})["gpu"]
    size = len(gpu.ask("GET", "/object_info").body)
    transport, channel = SlowReader(ADDRESS, ADDRESS), gpu.backend.site.buildProtocol(ADDRESS)
    assert channel is not None
    channel.makeConnection(transport)
    data, count = request("GET", "/object_info"), 30
    for piece in range(pieces):
        channel.dataReceived(data * (count // pieces) + (request("GET", "/prompt") if piece == pieces - 1 else b""))
    answers = []
    while chunk := transport.read():
        assert len(chunk) < size + _BUFFER_BYTES + 1000
        answers.append(chunk)
    assert b"".join(answers).count(b"HTTP/1.1 200 OK") == count + 1
    assert answers[-1].endswith(b'{"exec_info": {"queue_remaining": 0}}')
    channel.connectionLost(Failure(ConnectionDone()))
