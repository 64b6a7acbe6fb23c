"""HTTP that goes wrong on purpose: what a client gets, byte for byte, and what the instance has done meanwhile."""

import json
from collections.abc import Callable
from http.client import IncompleteRead
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.events import Exchanged, FaultArmed, FaultExpired, FaultFired, Submitted
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.testing.memory_client import Asking
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

TEXT, JSON = "text/plain; charset=utf-8", "application/json; charset=utf-8"
PROMPT = json.dumps({"prompt": text_to_image(), "client_id": "me"}).encode()
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="cat.png"\r\n\r\nmeow\r\n--x--\r\n',
    {"Content-Type": "multipart/form-data; boundary=x"},
)


def farm_of(memory_farm: Start, *faults: dict[str, Any], **settings: Any) -> MemoryFarm:
    instance = {"name": "gpu-{n}", "count": 2, "port": 0}
    on_one = [{"on": "gpu-1", **each} for each in faults]
    return memory_farm({"farm": settings, "instance": [instance], "fault": on_one})


def begin(
    farm: MemoryFarm, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Asking:
    return farm.wire.begin(farm["gpu-1"].backend.site, method, path, body, headers)


def bytes_of(asking: Asking) -> bytes:
    sent: bytes = asking.transport.value()
    return sent


def exchanges(farm: MemoryFarm) -> list[tuple[str, str, int, int]]:
    told = farm.farm.log.of(Exchanged)
    return [(each.method, each.path, each.status, each.size_bytes) for each in told]


def submit(gpu: MemoryInstance, **body: Any) -> str:
    return str(gpu.ask("POST", "/prompt", json={"prompt": text_to_image(), **body}).json()["prompt_id"])


# Nothing goes wrong.


@pytest.mark.parametrize(
    "request_line",
    [
        *("GET /queue HTTP/1.1", "HEAD /queue HTTP/1.1", "GET /nope HTTP/1.1", "HEAD /nope HTTP/1.1"),
        *("OPTIONS /queue HTTP/1.1", "PUT /queue HTTP/1.1", "GET //x HTTP/1.1", "GET /queue HTTP/1.0"),
        *("POST /interrupt HTTP/1.1", "POST /queue HTTP/1.1", "GET /ws HTTP/1.1", "GET / HTTP/1.1"),
        "GET /view?filename=../input/kernie_512x768.jpg HTTP/1.1",
        "HEAD /view?filename=../input/kernie_512x768.jpg HTTP/1.1",
    ],
)
@pytest.mark.parametrize("header", ["X: x", "Connection: close", "If-None-Match: *", "Range: bytes=3-9", "Origin: http://e"])
def test_an_answer_that_is_kept_back_goes_out_as_it_would_have(
    memory_farm: Start, request_line: str, header: str
) -> None:
    """Line for line, and the connection is kept or closed alike; the fault never fires."""
    farm = farm_of(memory_farm)
    sent = []
    for _ in range(2):
        asking = begin(farm, "GET", "/queue")
        asking.transport.clear()
        asking.channel.dataReceived(f"{request_line}\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n".encode())
        farm.advance(0)
        lines = bytes_of(asking).split(b"\r\n")
        undated = sorted(line for line in lines if not line.startswith(b"Date: "))
        sent.append((undated, asking.transport.disconnecting, exchanges(farm)[-1]))
        farm.farm.fault_controller.arm(read_fault({"on": "gpu-1", "at": "reply", "do": "drop", "chance": 0}))
    assert sent[0] == sent[1]


def test_the_next_request_of_a_connection_waits_for_its_turn(memory_farm: Start) -> None:
    """As pipelined requests do."""
    farm = farm_of(memory_farm, {"at": {"phase": "reply", "route": "/prompt"}, "do": "delay", "duration": "3s"})
    asking = begin(farm, "GET", "/prompt")
    asking.channel.dataReceived(b"GET /queue HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    farm.advance(2)
    assert bytes_of(asking) == b""
    farm.advance(1)
    first, second = bytes_of(asking).split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b'{"exec_info": {"queue_remaining": 0}}' in first
    assert b'{"queue_running": [], "queue_pending": []}' in second
    assert not asking.transport.disconnecting


# Other answers.


def test_a_busy_server_says_when_to_come_back(memory_farm: Start) -> None:
    """Nothing is taken on, and the next attempt succeeds."""
    farm = farm_of(memory_farm, {"at": "submit", "do": "status", "status": 503, "retry_after": "2s", "times": 1})
    refused = farm["gpu-1"].ask("POST", "/api/prompt", data=PROMPT)
    assert (refused.status, refused.body) == (503, b"503: Service Unavailable")
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["content-type"] == TEXT
    assert refused.headers["x-comfyfarm-instance"] == "gpu-1"
    assert refused.headers["server"].startswith("Python/")
    assert not list(farm.farm.log.of(Submitted))
    submit(farm["gpu-1"])


def test_other_instances_and_other_routes_are_not_touched(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": {"phase": "request", "route": "/history*"}, "do": "status", "status": 500})
    assert farm["gpu-1"].ask("GET", "/api/history/x").status == 500
    assert farm["gpu-1"].ask("GET", "/queue").status == 200
    assert farm["gpu-2"].ask("GET", "/history").status == 200


def test_a_refused_prompt_is_refused_in_comfyuis_form(memory_farm: Start) -> None:
    fault = {"at": "submit", "do": "status", "status": 400, "like": "comfyui", "error": "no_vram", "message": "Full"}
    refused = farm_of(memory_farm, fault)["gpu-1"].ask("POST", "/prompt", data=PROMPT)
    assert refused.headers["content-type"] == JSON
    assert refused.json() == {
        "error": {"type": "no_vram", "message": "Full", "details": "", "extra_info": {}},
        "node_errors": {},
    }


def test_a_proxy_answers_with_its_page(memory_farm: Start) -> None:
    """Which is no JSON, and not of the server behind it."""
    fault = {"at": "upload", "do": "status", "status": 413, "like": "proxy"}
    data, headers = FORM
    refused = farm_of(memory_farm, fault)["gpu-1"].ask("POST", "/upload/image", data=data, headers=headers)
    assert (refused.status, refused.headers["server"], refused.headers["content-type"]) == (413, "nginx", "text/html")
    assert b"<h1>413 Request Entity Too Large</h1>" in refused.body


def test_an_answer_is_replaced_after_the_work(memory_farm: Start) -> None:
    """The job is there although the client was told that it is not."""
    fault = {"at": {"phase": "reply", "route": "/prompt", "method": "POST"}, "do": "status", "status": 500}
    farm = farm_of(memory_farm, fault)
    answer = farm["gpu-1"].ask("POST", "/prompt", data=PROMPT)
    assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n\nServer got itself in trouble")
    assert "etag" not in answer.headers
    (submitted,) = farm.farm.log.of(Submitted)
    (fired,) = farm.farm.log.of(FaultFired)
    assert (fired.prompt_id, fired.job) == (submitted.prompt_id, submitted.job)


def test_headers_and_json_of_ones_own(memory_farm: Start) -> None:
    fault = {"at": "request", "do": "status", "status": 429, "json": {"wait": True}, "headers": {"server": "edge"}}
    answer = farm_of(memory_farm, fault)["gpu-1"].ask("GET", "/queue")
    assert (answer.status, answer.json(), answer.headers["server"]) == (429, {"wait": True}, "edge")


def test_a_head_is_told_no_body(memory_farm: Start) -> None:
    fault = {"at": "request", "do": "status", "status": 503}
    farm = farm_of(memory_farm, fault)
    asking = begin(farm, "HEAD", "/queue")
    assert bytes_of(asking).endswith(b"\r\n\r\n")
    assert b"Content-Length: 24\r\n" in bytes_of(asking)


# Time.


def test_a_late_answer_is_a_true_one(memory_farm: Start) -> None:
    """The job is taken on at once; only the client waits."""
    farm = farm_of(memory_farm, {"at": {"phase": "reply", "route": "/prompt"}, "do": "delay", "duration": "5s"})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    (submitted,) = farm.farm.log.of(Submitted)
    farm.advance(4.9)
    assert asking.reply() is None
    farm.advance(0.1)
    reply = asking.reply()
    assert reply is not None
    assert reply.json()["prompt_id"] == submitted.prompt_id
    assert [each.at_ms for each in farm.farm.log.of(Exchanged)] == [5000]


def test_a_request_that_comes_late_is_worked_on_late(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": "submit", "do": "delay", "duration": "5s"})
    begin(farm, "POST", "/prompt", PROMPT)
    farm.advance(5)
    assert [each.at_ms for each in farm.farm.log.of(Submitted)] == [5000]


def test_an_upload_that_takes_time_goes_wrong_behind_it(memory_farm: Start) -> None:
    """The work may take time of its own."""
    instance = {"name": "gpu-1", "port": 0, "timing": {"upload": "2s"}}
    farm = memory_farm({"instance": [instance], "fault": [{"at": "reply", "do": "delay", "duration": "1s"}]})
    data, headers = FORM
    asking = begin(farm, "POST", "/upload/image", data, headers)
    farm.advance(2.9)
    assert asking.reply() is None
    farm.advance(0.1)
    reply = asking.reply()
    assert reply is not None
    assert reply.json()["name"] == "cat.png"


def test_a_hanging_route_is_healed(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": {"phase": "request", "route": "/history*"}, "do": "hang"})
    asking = begin(farm, "GET", "/history")
    farm.advance("1h")
    assert asking.reply() is None
    farm.farm.fault_controller.heal()
    reply = asking.reply()
    assert reply is not None
    assert (reply.status, reply.json()) == (200, {})


@pytest.mark.parametrize("phase", ["submit", "reply"])
def test_an_answer_that_was_to_be_late_comes_at_once_when_all_is_healed(memory_farm: Start, phase: str) -> None:
    at = {"phase": phase} if phase == "submit" else {"phase": phase, "route": "/prompt"}
    farm = farm_of(memory_farm, {"at": at, "do": "delay", "duration": "1h", "times": 1})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    farm.advance("10s")
    assert asking.reply() is None
    farm.farm.fault_controller.heal()
    reply = asking.reply()
    assert reply is not None
    assert reply.status == 200
    farm.run_until_idle()
    assert [event.at_ms for event in farm.farm.log.of(Submitted)] == [10_000 if phase == "submit" else 0]


def test_a_client_that_hangs_up_ends_the_story(memory_farm: Start) -> None:
    """Nothing is done for it, and nothing is due any more."""
    farm = farm_of(memory_farm, {"at": "submit", "do": "delay", "duration": "5s"})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    farm.advance(1)
    asking.channel.connectionLost(Failure(ConnectionDone()))
    assert exchanges(farm) == [("POST", "/prompt", 0, 0)]
    farm.advance(10)
    assert not list(farm.farm.log.of(Submitted))
    assert len(exchanges(farm)) == 1


def test_a_client_that_does_not_wait_for_a_late_answer_leaves_an_orphan(memory_farm: Start) -> None:
    """The job runs; the log says that nobody was told of it."""
    farm = farm_of(memory_farm, {"at": {"phase": "reply", "route": "/prompt"}, "do": "delay", "duration": "5s"})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    farm.advance(1)
    asking.channel.connectionLost(Failure(ConnectionDone()))
    farm.run_until_idle()
    assert exchanges(farm) == [("POST", "/prompt", 0, 0)]
    (prompt_id,) = farm["gpu-1"].ask("GET", "/history").json()
    assert [each.prompt_id for each in farm.farm.log.of(FaultFired)] == [prompt_id]


# Broken connections.


def test_a_dropped_submission_never_was(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": "submit", "do": "drop"})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    assert (bytes_of(asking), asking.transport.disconnecting) == (b"", True)
    assert exchanges(farm) == [("POST", "/prompt", 0, 0)]
    assert not list(farm.farm.log.of(Submitted))


def test_a_dropped_reply_leaves_an_accepted_job_unanswered(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": {"phase": "reply", "route": "/prompt"}, "do": "drop", "times": 1})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    assert (bytes_of(asking), asking.transport.disconnecting) == (b"", True)
    (submitted,) = farm.farm.log.of(Submitted)
    (fired,) = farm.farm.log.of(FaultFired)
    assert exchanges(farm) == [("POST", "/prompt", 0, 0)]
    assert (fired.phase, fired.prompt_id, fired.client_id) == ("reply", submitted.prompt_id, "me")
    assert farm["gpu-1"].ask("GET", "/prompt").json()["exec_info"]["queue_remaining"] == 1


def test_a_reset_connection_says_nothing(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": "view", "do": "reset"})
    asking = begin(farm, "GET", "/view?filename=../input/kernie_512x768.jpg")
    assert (bytes_of(asking), asking.transport.disconnected) == (b"", True)
    assert exchanges(farm) == [("GET", "/view", 0, 0)]


@pytest.mark.parametrize(("how", "kept"), [({}, 0.5), ({"share": 0.25}, 0.25), ({"bytes": "100B"}, 100)])
def test_a_picture_is_cut_short(memory_farm: Start, how: dict[str, Any], kept: float) -> None:
    """Under the status and length of the whole one; the log says what really went out."""
    farm = farm_of(memory_farm, {"at": {"phase": "view", "file": "*kernie*"}, "do": "truncate", **how})
    path = "/view?filename=../input/kernie_512x768.jpg"
    whole = farm["gpu-2"].ask("GET", path).body
    asking = begin(farm, "GET", path)
    with pytest.raises(IncompleteRead) as cut:
        asking.reply()
    expected = whole[: int(kept if kept > 1 else len(whole) * kept)]
    assert cut.value.partial == expected
    assert asking.transport.disconnecting
    assert exchanges(farm)[-1] == ("GET", "/view", 200, len(expected))


def test_a_body_becomes_noise_of_the_same_length(memory_farm: Start) -> None:
    """The same noise, for the same seed."""
    bodies = []
    for _ in range(2):
        farm = farm_of(memory_farm, {"at": {"phase": "reply", "route": "/queue"}, "do": "garbage"})
        reply = farm["gpu-1"].ask("GET", "/queue")
        assert (reply.status, reply.headers["content-type"]) == (200, JSON)
        bodies.append(reply.body)
        farm.stop()
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) == len(b'{"queue_running": [], "queue_pending": []}')
    with pytest.raises(ValueError, match=r"can't decode|Expecting value"):
        json.loads(bodies[0])


def test_noise_in_place_of_http(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": "submit", "do": "garbage", "what": "http"})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    assert len(bytes_of(asking)) == 64
    assert not bytes_of(asking).startswith(b"HTTP")
    assert asking.transport.disconnecting
    assert exchanges(farm) == [("POST", "/prompt", 0, 0)]
    assert len(list(farm.farm.log.of(Submitted))) == 1      # the fault fired at its submission, and works on the answer


def test_a_body_comes_in_drips(memory_farm: Start) -> None:
    """Whole in the end, and the connection is kept."""
    at = {"phase": "reply", "route": "/queue"}
    farm = farm_of(memory_farm, {"at": at, "do": "drip", "piece": "20B", "gap": "1s"})
    asking = begin(farm, "GET", "/queue")
    bodies = []
    for _ in range(3):
        bodies.append(bytes_of(asking).split(b"\r\n\r\n")[1])
        farm.advance(1)
    whole = b'{"queue_running": [], "queue_pending": []}'
    assert bodies == [whole[:20], whole[:40], whole]
    assert not asking.transport.disconnecting
    assert exchanges(farm) == [("GET", "/queue", 200, 42)]


def test_who_leaves_in_the_middle_has_got_the_first_drips(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": "reply", "do": "drip", "pieces": 4, "gap": "1s"})
    asking = begin(farm, "GET", "/queue")
    farm.advance(1)
    asking.channel.connectionLost(Failure(ConnectionDone()))
    assert exchanges(farm) == [("GET", "/queue", 200, 22)]
    farm.advance(10)
    assert farm.run_until_idle() == 11_000


@pytest.mark.parametrize("by", [-10, 10])
def test_a_length_is_wrong(memory_farm: Start, by: int) -> None:
    farm = farm_of(memory_farm, {"at": "reply", "do": "wrong_length", "by": by})
    asking = begin(farm, "GET", "/queue")
    head, body = bytes_of(asking).split(b"\r\n\r\n")
    assert b"Content-Length: %d" % (42 + by) in head
    assert body == b'{"queue_running": [], "queue_pending": []}'
    assert asking.transport.disconnecting


def test_two_faults_strike_one_answer(memory_farm: Start) -> None:
    """Late, and then cut short."""
    farm = farm_of(
        memory_farm,
        {"at": "request", "do": "delay", "duration": "2s"},
        {"at": "reply", "do": "truncate", "bytes": "5B"},
    )
    asking = begin(farm, "GET", "/queue")
    farm.advance(1.9)
    assert bytes_of(asking) == b""
    farm.advance(0.1)
    assert bytes_of(asking).endswith(b'\r\n\r\n{"que')


# False and old numbers.


def test_a_lie_is_the_same_wherever_it_is_told(memory_farm: Start) -> None:
    """Lists are filled up, with the same jobs each time; the truth comes back when it is removed."""
    farm = farm_of(memory_farm, {"at": "status", "do": "lie", "queue_remaining": 3, "id": "lie"})
    gpu = farm["gpu-1"]
    real = submit(gpu)
    queue = gpu.ask("GET", "/queue").json()
    assert [each[1] for each in queue["queue_running"]] == [real]
    assert [each[0] for each in queue["queue_pending"]] == [1, 2]
    assert gpu.ask("GET", "/queue").json() == queue
    assert gpu.ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 3}}
    farm.farm.fault_controller.remove("lie")
    assert gpu.ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 1}}


def test_a_full_queue_is_shown_as_an_empty_one(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": "status", "do": "lie", "queue_remaining": 0})
    submit(farm["gpu-1"])
    submit(farm["gpu-1"])
    assert farm["gpu-1"].ask("GET", "/queue").json() == {"queue_running": [], "queue_pending": []}
    assert farm["gpu-1"].ask("HEAD", "/queue").status == 200


def test_a_lie_grows_in_time(memory_farm: Start) -> None:
    """From the moment when the fault begins, up to its limit."""
    growing = {"start": 2, "per_second": 1.5, "most": 6}
    farm = farm_of(memory_farm, {"at": "status", "do": "lie", "queue_remaining": growing, "after": "10s"})
    shown = []
    for _ in range(5):
        shown.append(farm["gpu-1"].ask("GET", "/prompt").json()["exec_info"]["queue_remaining"])
        farm.advance(5 if len(shown) != 3 else 0.7)
    assert shown == [0, 0, 2, 3, 6]


def test_memory_looks_free(memory_farm: Start) -> None:
    fault = {"at": "status", "do": "lie", "vram_free": "24GB", "ram_free": "1GB"}
    stats = farm_of(memory_farm, fault)["gpu-1"].ask("GET", "/system_stats").json()
    assert {each["vram_free"] for each in stats["devices"]} == {24 * 1024**3}
    assert stats["system"]["ram_free"] == 1024**3


def test_old_news_are_looked_up_anew_at_times(memory_farm: Start) -> None:
    """As out of a cache that holds for ten seconds; each path has its own."""
    farm = farm_of(memory_farm, {"at": "status", "do": "stale", "refresh": "10s"})
    gpu = farm["gpu-1"]

    def remaining() -> int:
        return int(gpu.ask("GET", "/prompt").json()["exec_info"]["queue_remaining"])

    assert remaining() == 0
    submit(gpu)
    submit(gpu)
    assert remaining() == 0
    assert len(gpu.ask("GET", "/queue").json()["queue_pending"]) == 1
    farm.advance(0.1)
    assert remaining() == 0
    farm.advance(9.9)
    submit(gpu)
    assert remaining() == 1


# At which exchange it fires.


def test_the_second_job_of_a_client_is_refused(memory_farm: Start) -> None:
    """By whose it is, and which of its matches."""
    at = {"phase": "submit", "client": "me"}
    farm = farm_of(memory_farm, {"at": at, "do": "status", "status": 500, "skip": 1, "times": 1})
    gpu = farm["gpu-1"]
    statuses = [
        gpu.ask("POST", "/prompt", json={"prompt": text_to_image(), "client_id": who}).status
        for who in ("me", "you", "me", "me")
    ]
    assert statuses == [200, 200, 500, 200]


@pytest.mark.parametrize(
    "at",
    [
        {"phase": "submit", "job": 2},
        {"phase": "submit", "job": "order-7"},
        {"phase": "submit", "node_type": "KSampler", "job": 2},
        {"phase": "submit", "model": "v1-5*", "job": 2},
        {"phase": "request", "route": "/prompt", "method": "POST", "size": "3KB"},
        {"phase": "reply", "route": "/prompt", "job": 2},
    ],
)
def test_one_submission_is_meant_by_what_it_is(memory_farm: Start, at: dict[str, Any]) -> None:
    farm = farm_of(memory_farm, {"at": at, "do": "status", "status": 500})
    gpu = farm["gpu-1"]
    submit(gpu)
    extra = {"comfyfarm_job": "order-7", "long": "x" * 3000}
    named = gpu.ask("POST", "/prompt", json={"prompt": text_to_image(), "extra_data": extra})
    assert named.status == 500


def test_an_uploaded_file_is_meant_by_its_name(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": {"phase": "upload", "file": "dog*"}, "do": "status", "status": 507})
    data, headers = FORM
    gpu = farm["gpu-1"]
    assert gpu.ask("POST", "/upload/image", data=data, headers=headers).status == 200
    assert gpu.ask("POST", "/upload/image", data=data.replace(b"cat", b"dog"), headers=headers).status == 507


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"\xff", b"[]", b"5", b"null", b"[" * 100_000, b'{"prompt": 5}', b'{"prompt": {"1": 5}}'),
        *(b'{"prompt": {"1": {"class_type": [], "inputs": 5}}}', b'{"client_id": {"a": []}, "extra_data": 5}'),
        *(b'{"client_id": "\\ud800", "extra_data": {"comfyfarm_job": "\\ud800"}}', b'{"prompt_id": []}'),
    ],
)
def test_a_hostile_body_is_answered_as_ever(memory_farm: Start, body: bytes) -> None:
    """Looking for faults does not change what it gets."""
    farm = farm_of(memory_farm, {"at": {"phase": "submit", "job": "x*"}, "do": "drop"})
    looked_at, plain = (farm[name].ask("POST", "/prompt", data=body) for name in ("gpu-1", "gpu-2"))
    assert (looked_at.status, looked_at.body) == (plain.status, plain.body)
    assert looked_at.status >= 400


def test_a_broken_form_is_answered_as_ever(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": {"phase": "upload", "file": "x"}, "do": "drop"})
    _, headers = FORM
    assert farm["gpu-1"].ask("POST", "/upload/image", data=b"--y", headers=headers).status == 500


def test_a_websocket_is_let_in_late(memory_farm: Start) -> None:
    """The handshake is a request like any other."""
    farm = farm_of(memory_farm, {"at": {"phase": "request", "route": "/ws"}, "do": "status", "status": 503, "times": 1})
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 22 + "==",
    }
    refused = begin(farm, "GET", "/ws", headers=upgrade)
    assert bytes_of(refused).startswith(b"HTTP/1.1 503 ")
    assert farm["gpu-1"].listen("me").types() == ["status"]


# Faults that a client brings along.


def with_fault(**fault: Any) -> dict[str, str]:
    return {"X-Comfyfarm-Fault": json.dumps(fault)}


def test_a_client_brings_a_fault_for_its_one_request(memory_farm: Start) -> None:
    """Nobody else meets it, and nothing of it stays on the board; the log has all of it."""
    farm = farm_of(memory_farm, fault_headers=True)
    gpu = farm["gpu-1"]
    for number in (1, 2):
        assert gpu.ask("GET", "/queue", headers=with_fault(do="status", status=418)).status == 418
        assert gpu.ask("GET", "/queue").status == 200
        assert not farm.farm.registry.armed
        (armed,) = [each for each in farm.farm.log.of(FaultArmed) if each.id == f"header-{number}"]
        assert armed.on == ("gpu-1",)
    assert [each.id for each in farm.farm.log.of(FaultFired)] == ["header-1", "header-2"]
    assert [(each.id, each.reason) for each in farm.farm.log.of(FaultExpired)] == [
        ("header-1", "spent"),
        ("header-2", "spent"),
    ]


def test_a_brought_fault_that_finds_nothing_to_strike_is_over_with_its_request(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, fault_headers=True)
    assert farm["gpu-1"].ask("GET", "/queue", headers=with_fault(do="drop", at="view")).status == 200
    assert [(each.id, each.reason) for each in farm.farm.log.of(FaultExpired)] == [("header-1", "over")]
    assert not farm.farm.registry.armed


def test_a_request_that_hangs_by_its_own_wish_is_healed(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, fault_headers=True)
    asking = begin(farm, "GET", "/queue", headers=with_fault(do="hang"))
    assert list(farm.farm.registry.armed) == ["header-1"]
    farm.farm.fault_controller.heal()
    assert asking.reply() is not None
    assert not farm.farm.registry.armed


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "expected an object, got list"),
        ('{"do": "nope"}', "do: expected one of"),
        ('{"do": "drop", "times": 2}', "times: has no meaning for one request (there are: do, at, cites)"),
        ('{"do": "drop", "on": "*"}', "on: has no meaning"),
        ('{"do": "error", "at": "node"}', "at.phase: expected one of request, submit, view, upload, reply, status"),
        ('{"do": "drop", "at": "lunch"}', "at.phase: expected one of"),
    ],
)
def test_a_brought_fault_that_is_none_is_refused(memory_farm: Start, fault: str, why: str) -> None:
    """In words, and nothing is done."""
    farm = farm_of(memory_farm, fault_headers=True)
    refused = farm["gpu-1"].ask("POST", "/prompt", data=PROMPT, headers={"X-Comfyfarm-Fault": fault})
    assert (refused.status, refused.headers["content-type"]) == (400, TEXT)
    assert refused.body.decode().startswith("X-Comfyfarm-Fault: ")
    assert why in refused.body.decode()
    assert not list(farm.farm.log.of(Submitted))


def test_a_brought_fault_is_ignored_unless_it_is_allowed(memory_farm: Start) -> None:
    """As a real server would."""
    farm = farm_of(memory_farm)
    assert farm["gpu-1"].ask("GET", "/queue", headers=with_fault(do="drop")).status == 200
    assert farm["gpu-1"].ask("GET", "/queue", headers={"X-Comfyfarm-Fault": "{"}).status == 200
    assert not list(farm.farm.log.of(FaultArmed))


# The process.


def test_nobody_is_answered_by_a_process_that_the_request_has_killed(memory_farm: Start) -> None:
    """Fired before the work: nothing is taken on."""
    farm = farm_of(memory_farm, {"at": "submit", "do": "crash"})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    farm.advance(10)
    assert (bytes_of(asking), asking.transport.disconnected) == (b"", True)
    assert exchanges(farm) == [("POST", "/prompt", 0, 0)]
    assert not list(farm.farm.log.of(Submitted))
    assert farm["gpu-1"].backend.state == "stopped"
    assert farm["gpu-2"].ask("GET", "/queue").status == 200


def test_a_process_that_dies_before_its_reply_has_taken_the_job_on(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": {"phase": "reply", "route": "/prompt"}, "do": "crash", "restart_after": "1s"})
    asking = begin(farm, "POST", "/prompt", PROMPT)
    farm.advance(2)
    assert (bytes_of(asking), asking.transport.disconnected) == (b"", True)
    assert len(list(farm.farm.log.of(Submitted))) == 1
    assert exchanges(farm) == [("POST", "/prompt", 0, 0)]
    assert farm["gpu-1"].ask("GET", "/queue").json() == {"queue_running": [], "queue_pending": []}


def test_who_waits_while_the_process_is_frozen_waits_on(memory_farm: Start) -> None:
    """A late answer comes no sooner than the thaw."""
    farm = farm_of(memory_farm, {"at": "reply", "do": "delay", "duration": "2s"})
    asking = begin(farm, "GET", "/queue")
    backend = farm["gpu-1"].backend
    backend.freeze(worker=False)
    farm.advance(5)
    assert asking.reply() is None
    backend.thaw()
    reply = asking.reply()
    assert reply is not None
    assert reply.status == 200


def test_who_waits_when_the_farm_stops_is_left_behind_in_order(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"at": "request", "do": "delay", "duration": "1h"})
    begin(farm, "GET", "/queue")
    farm.stop()
    assert exchanges(farm) == [("GET", "/queue", 0, 0)]


def test_a_fault_at_other_phases_or_instances_is_not_met(memory_farm: Start) -> None:
    farm = farm_of(memory_farm, {"on": "gpu-2", "at": "request", "do": "hang"}, {"at": "view", "do": "hang"})
    farm.farm.fault_controller.arm(read_fault({"on": "gpu-1", "at": "node", "do": "hang"}))
    assert farm["gpu-1"].ask("GET", "/queue").status == 200
    assert not list(farm.farm.log.of(FaultFired))


def test_a_process_that_dies_while_a_request_is_worked_on_answers_nothing(memory_farm: Start) -> None:
    """A job's crash was due when the request came: whether the answer would have been kept back or not."""
    crash = {"at": {"phase": "step", "step": 1}, "do": "crash"}
    for more in ([], [{"at": "reply", "do": "delay", "duration": "1s"}]):
        farm = farm_of(memory_farm, crash, *more)
        begin(farm, "POST", "/prompt", PROMPT)
        clock: Any = farm.farm.clock
        clock.rightNow += 60        # the reactor is late: nobody has been woken yet
        asking = begin(farm, "GET", "/queue")
        farm.advance(5)
        assert (bytes_of(asking), asking.transport.disconnected) == (b"", True)
        assert exchanges(farm)[-1] == ("GET", "/queue", 0, 0)
        farm.stop()
