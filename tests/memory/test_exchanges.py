"""HTTP as clients of ComfyUI know it: which paths there are, how they say no, what queue and history answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from comfyfarm.events import Exchanged, HistoryDeleted, PromptRefused
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.testing.memory_client import Reply
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

TROUBLE = b"500 Internal Server Error\n\nServer got itself in trouble"
JSON = "application/json; charset=utf-8"


def gpu_of(memory_farm: Start, **settings: Any) -> MemoryInstance:
    return memory_farm({"instance": [{"name": "gpu", **settings}]})["gpu"]


def post(gpu: MemoryInstance, **body: Any) -> str:
    return str(gpu.ask("POST", "/prompt", json={"prompt": text_to_image(), **body}).json()["prompt_id"])


def answered(reply: Reply) -> tuple[int, bytes, str | None]:
    return reply.status, reply.body, reply.headers.get("content-type")


# Paths and methods.


@pytest.mark.parametrize(
    "path",
    ["/queue", "/history", "/prompt", "/system_stats", "/features", "/models", "/embeddings", "/object_info/KSampler"],
)
def test_every_route_is_there_twice_and_answers_head(memory_farm: Start, path: str) -> None:
    """With and without ``/api``; HEAD is GET without its body."""
    gpu = gpu_of(memory_farm)
    plain, twin, head = gpu.ask("GET", path), gpu.ask("GET", "/api" + path), gpu.ask("HEAD", path)
    assert answered(twin) == answered(plain) == (200, plain.body, JSON)
    assert head.body == b""
    assert head.headers.items() >= {"content-type": JSON, "content-length": str(len(plain.body))}.items()
    assert plain.body == json.dumps(plain.json()).encode()      # Python's own separators


@pytest.mark.parametrize("path", ["/jobs", "/jobs/x", "/api/internal/logs", "/api/api/queue"])
def test_some_routes_are_there_once_only(memory_farm: Start, path: str) -> None:
    assert answered(gpu_of(memory_farm).ask("GET", path)) == (404, b"", "application/octet-stream")


def test_jobs_are_there_with_the_prefix_once_and_twice(memory_farm: Start) -> None:
    """A quirk of the real server's."""
    gpu = gpu_of(memory_farm)
    assert gpu.ask("GET", "/api/jobs").body == gpu.ask("GET", "/api/api/jobs").body
    assert gpu.ask("GET", "/api/jobs/x").status == gpu.ask("GET", "/api/api/jobs/x").status == 404
    assert gpu.ask("GET", "/api/jobs/x").json() == {"error": "Job not found"}


@pytest.mark.parametrize(
    "path",
    [
        *("/nope", "/api/nope", "/queue/", "/QUEUE", "/api//queue", "/history//x", "/%ff", "/queue%2F"),
        *("/interrupt", "/free", "/upload/image", "/upload/mask"),      # only posted to
        *("/api/history_v2", "/api/feedback", "/health"),               # the hosted cloud's
    ],
)
def test_what_nobody_reads_is_an_empty_404(memory_farm: Start, path: str) -> None:
    """The folder of the web page answers for it."""
    gpu = gpu_of(memory_farm)
    assert answered(gpu.ask("GET", path)) == (404, b"", "application/octet-stream")
    assert answered(gpu.ask("HEAD", path)) == (404, b"", None)


def test_two_slashes_at_the_beginning_are_a_404_in_words(memory_farm: Start) -> None:
    assert answered(gpu_of(memory_farm).ask("GET", "//queue")) == (
        404,
        b"404: Not Found",
        "text/plain; charset=utf-8",
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/prompt", "GET,HEAD,POST"),
        ("DELETE", "/queue", "GET,HEAD,POST"),
        ("PATCH", "/history", "GET,HEAD,POST"),
        ("PROPFIND", "/api/queue", "GET,HEAD,POST"),
        ("POST", "/view", "GET,HEAD"),
        ("POST", "/history/x", "GET,HEAD"),
        ("POST", "/api/jobs", "GET,HEAD"),
        ("POST", "/nope", "GET,HEAD"),
        ("DELETE", "/nope/nope", "GET,HEAD"),
        ("PUT", "/", "GET,HEAD"),
        ("POST", "/ws", "GET,HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(memory_farm: Start, method: str, path: str, allowed: str) -> None:
    """In sorted order; a path that is not there can be read, as far as ComfyUI is concerned."""
    reply = gpu_of(memory_farm).ask(method, path)
    assert answered(reply) == (405, b"405: Method Not Allowed", "text/plain; charset=utf-8")
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/queue", "/nope", "/ws", "//x", "/api/jobs/x"])
def test_options_are_answered_everywhere(memory_farm: Start, path: str) -> None:
    """With nothing; unless another site asks."""
    gpu = gpu_of(memory_farm)
    assert answered(gpu.ask("OPTIONS", path)) == (200, b"", None)
    assert answered(gpu.ask("OPTIONS", path, headers={"Origin": "http://evil.example"})) == (403, b"", None)


@pytest.mark.parametrize("headers", [{"Origin": "http://["}, {"Host": "[", "Origin": "http://127.0.0.1"}])
def test_an_origin_that_is_none_makes_comfyui_raise(memory_farm: Start, headers: dict[str, str]) -> None:
    """And is no error of ours."""
    assert answered(gpu_of(memory_farm).ask("GET", "/queue", headers=headers))[:2] == (500, TROUBLE)


@pytest.mark.parametrize("path", ["/queue", "/nope", "//x", "/ws", "/interrupt"])
def test_each_answer_says_which_instance_gave_it(memory_farm: Start, path: str) -> None:
    """Whatever it is."""
    farm = memory_farm({"instance": [{"name": "gpu-{n}", "count": 2}]})
    for name in ("gpu-1", "gpu-2"):
        for method in ("GET", "POST", "OPTIONS", "HEAD"):
            assert farm[name].ask(method, path, data=b"{").headers["x-comfyfarm-instance"] == name


def test_a_plain_get_is_no_websocket(memory_farm: Start) -> None:
    """In aiohttp's words."""
    gpu = gpu_of(memory_farm)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert answered(gpu.ask("GET", "/ws")) == (
        400,
        b'No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".',
        "text/plain; charset=utf-8",
    )
    assert gpu.ask("GET", "/ws", headers=upgrade).body == b"Unsupported version: "
    assert gpu.ask("GET", "/ws", headers={**upgrade, "Sec-WebSocket-Version": "9"}).body == b"Unsupported version: 9"


# Bodies.


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/history", "/free"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nope", b"{'a': 1}", b"\xef\xbb\xbf{}", b"[" * 100_000])
def test_what_is_no_json_makes_comfyui_raise(memory_farm: Start, path: str, body: bytes) -> None:
    """A plain 500, and no error of ours."""
    reply = gpu_of(memory_farm).ask("POST", path, data=body)
    assert answered(reply) == (500, TROUBLE, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b"{}", 200),
        ("application/x-www-form-urlencoded", b"{}", 200),
        ("application/json; charset=utf-16", "{}".encode("utf-16"), 200),
        ("application/json; charset=utf-16", b"{} ", 500),
        ("application/json; charset=nope", b"{}", 500),
        ("application/json; charset=hex", b"7b7d", 500),
        ('application/json; charset="latin-1"', '{"ä": 1}'.encode("latin-1"), 200),
        ("application/json; charset", b"{}", 200),
        ("", b"{}", 200),
    ],
)
def test_a_body_is_json_whatever_it_is_called(memory_farm: Start, content_type: str, body: bytes, status: int) -> None:
    """Only its charset counts."""
    reply = gpu_of(memory_farm).ask("POST", "/queue", data=body, headers={"Content-Type": content_type})
    assert reply.status == status


@pytest.mark.parametrize("depth", [499, 501, 900, 950, 960, 970, 980, 5000])
def test_a_body_nested_without_end_is_refused_before_it_is_taken(memory_farm: Start, depth: int) -> None:
    """Where it was taken it can be shown again; nothing ends in Python's own limit later."""
    farm = memory_farm({"instance": [{"name": "gpu", "mode": "dynamic", "cache": "ram"}]})
    gpu = farm["gpu"]
    listener = gpu.listen("me")
    deep = b"[" * (depth - 3) + b"]" * (depth - 3)
    body = b'{"prompt": %s, "extra_data": {"extra_pnginfo": {"x": %s}}, "client_id": "me"}'
    reply = gpu.ask("POST", "/prompt", data=body % (json.dumps(text_to_image()).encode(), deep))
    assert reply.status == (200 if depth < 500 else 500)
    farm.advance(1)
    for path in ("/history", "/api/jobs", "/queue"):
        assert gpu.ask("GET", path).status == 200
    assert ("execution_success" in listener.types()) is (depth < 500)


def test_a_body_that_never_comes_to_its_end_costs_nobody_else_anything(memory_farm: Start) -> None:
    """Nothing is answered, and nothing is taken; others are served meanwhile."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    channel = gpu.backend.site.buildProtocol(None)
    assert channel is not None
    transport = StringTransport()
    channel.makeConnection(transport)
    channel.dataReceived(b'POST /prompt HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"prompt": {')
    post(gpu)
    farm.advance(1)
    assert transport.value() == b""
    channel.connectionLost(Failure(ConnectionDone()))
    assert len(gpu.ask("GET", "/history").json()) == 1


def test_a_body_in_pieces_is_as_good_as_a_whole_one(memory_farm: Start) -> None:
    """Chunked, and byte by byte."""
    gpu = gpu_of(memory_farm)
    channel = gpu.backend.site.buildProtocol(None)
    assert channel is not None
    transport = StringTransport()
    channel.makeConnection(transport)
    body = json.dumps({"prompt": text_to_image()}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:]))
    request = b"POST /prompt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    for index in range(len(request)):
        channel.dataReceived(request[index : index + 1])
    assert transport.value().startswith(b"HTTP/1.1 200 OK")
    channel.connectionLost(Failure(ConnectionDone()))
    assert gpu.ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 1}}


def test_the_person_who_runs_the_farm_is_advised_once(memory_farm: Start) -> None:
    """What to do about node types that nobody knows; other refusals are the client's business."""
    gpu = gpu_of(memory_farm)
    with capturedLogs() as said:
        gpu.ask("POST", "/prompt", json={})
        for name in ("MyNode", "OtherNode"):
            gpu.ask("POST", "/prompt", json={"prompt": {"1": {"class_type": name, "inputs": {}}}})
    (advice,) = [event for event in said if "validation" in event["log_format"]]
    assert (advice["name"], advice["class_type"]) == ("gpu", "MyNode")


# The queue.


def test_the_queue_lists_what_runs_and_what_waits(memory_farm: Start) -> None:
    """Each in five parts, what waits in the order of ComfyUI's heap."""
    gpu = gpu_of(memory_farm)
    running = post(gpu)
    waiting = {number: post(gpu, number=number, client_id="me") for number in (5, 3, 4, 1, 2, 9, 0)}
    queue = gpu.ask("GET", "/queue").json()
    assert list(queue) == ["queue_running", "queue_pending"]
    ((number, prompt_id, prompt, extra_data, outputs),) = queue["queue_running"]
    assert (number, prompt_id, prompt, outputs) == (0, running, text_to_image(), ["9"])
    assert extra_data.keys() == {"create_time"}
    assert [item[1] for item in queue["queue_pending"]] == [waiting[each] for each in (0, 2, 1, 5, 3, 9, 4)]
    assert gpu.ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 8}}


@pytest.mark.parametrize(
    "body", [{}, [], {"clear": False}, {"delete": []}, {"delete": ["x", 5, None, {}]}, "x", {"x": 1}]
)
def test_a_queue_that_is_asked_for_nothing_does_nothing(memory_farm: Start, body: Any) -> None:
    gpu = gpu_of(memory_farm)
    post(gpu)
    post(gpu)
    assert answered(gpu.ask("POST", "/queue", json=body)) == (200, b"", None)
    assert gpu.ask("GET", "/prompt").json()["exec_info"]["queue_remaining"] == 2


@pytest.mark.parametrize(
    "body", [None, 5, True, {"delete": None}, {"delete": 5}, ["clear"], ["delete"], "clear", "delete"]
)
def test_a_body_of_the_wrong_kind_makes_the_queue_raise(memory_farm: Start, body: Any) -> None:
    gpu = gpu_of(memory_farm)
    assert gpu.ask("POST", "/queue", json=body).status == 500
    assert gpu.ask("POST", "/history", json=body).status == 500


def test_a_wish_that_is_half_wrong_is_half_done(memory_farm: Start) -> None:
    """ComfyUI clears first."""
    gpu = gpu_of(memory_farm)
    for _ in range(3):
        post(gpu)
    assert gpu.ask("POST", "/queue", json={"clear": True, "delete": 5}).status == 500
    assert gpu.ask("GET", "/prompt").json()["exec_info"]["queue_remaining"] == 1


def test_an_id_that_waits_twice_is_deleted_once_for_each_mention(memory_farm: Start) -> None:
    gpu = gpu_of(memory_farm)
    post(gpu)
    twice = post(gpu)
    for _ in range(2):
        post(gpu, prompt_id=twice)
    gpu.ask("POST", "/queue", json={"delete": [twice, twice]})
    assert [item[1] for item in gpu.ask("GET", "/queue").json()["queue_pending"]] == [twice]


# History.


def ended(gpu: MemoryInstance, count: int) -> list[str]:
    ids = [post(gpu) for _ in range(count)]
    gpu.farm.advance(count)
    return ids


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", [0, 1, 2, 3]),
        ("?max_items=2", [2, 3]),
        ("?offset=1", [1, 2, 3]),
        ("?max_items=2&offset=1", [1, 2]),
        ("?max_items=0", []),
        ("?max_items=0&offset=0", [0]),
        ("?max_items=-1", []),
        ("?offset=-3", [0, 1, 2, 3]),
        ("?max_items=%202%20", [2, 3]),
        ("?unknown=x&max_items=1&max_items=x", [3]),
    ],
)
def test_history_is_shown_in_windows(memory_farm: Start, query: str, shown: list[int]) -> None:
    gpu = gpu_of(memory_farm)
    ids = ended(gpu, 4)
    assert list(gpu.ask("GET", f"/history{query}").json()) == [ids[index] for index in shown]


@pytest.mark.parametrize("query", ["?max_items=x", "?max_items=", "?offset=1.5", "?max_items=1&offset=x"])
def test_a_window_that_is_no_number_makes_comfyui_raise(memory_farm: Start, query: str) -> None:
    assert gpu_of(memory_farm).ask("GET", f"/history{query}").status == 500


def test_a_job_has_no_history_before_it_has_ended(memory_farm: Start) -> None:
    """Like one that nobody knows: an empty object."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    running, waiting = post(gpu), post(gpu)
    for prompt_id in (running, waiting, "unknown", "%2F", "a%20b"):
        assert answered(gpu.ask("GET", f"/history/{prompt_id}")) == (200, b"{}", JSON)
    farm.advance(5)
    for prompt_id in (running, waiting):
        assert list(gpu.ask("GET", f"/history/{prompt_id}").json()) == [prompt_id]


def test_history_is_forgotten_on_request(memory_farm: Start) -> None:
    """Some of it, or all; the log says which."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    first, second, third = ended(gpu, 3)
    gpu.ask("POST", "/history", json={"delete": [first, "unknown"]})
    assert list(gpu.ask("GET", "/history").json()) == [second, third]
    gpu.ask("POST", "/history", json={"clear": True})
    assert gpu.ask("GET", "/history").json() == {}
    assert [each.prompt_ids for each in farm.farm.log.of(HistoryDeleted)] == [(first,), (second, third)]


def test_what_was_forgotten_before_a_mistake_is_told(memory_farm: Start) -> None:
    """ComfyUI deletes one by one, and raises at what cannot be an id: the log must not miss the first."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    first, second = ended(gpu, 2)
    assert gpu.ask("POST", "/history", json={"delete": [first, ["x"], second]}).status == 500
    assert list(gpu.ask("GET", "/history").json()) == [second]
    assert [each.prompt_ids for each in farm.farm.log.of(HistoryDeleted)] == [(first,)]


def test_jobs_are_listed_as_asked(memory_farm: Start) -> None:
    """What is asked wrongly is a 400 in words, what is not there a 404."""
    gpu = gpu_of(memory_farm)
    first, second, third = ended(gpu, 3)
    listed = gpu.ask("GET", "/api/jobs?limit=2&sort_order=asc").json()
    assert [job["id"] for job in listed["jobs"]] == [first, second]
    assert listed["pagination"] == {"offset": 0, "limit": 2, "total": 3, "has_more": True}
    assert gpu.ask("GET", f"/api/jobs/{third}").json()["status"] == "completed"
    refused = gpu.ask("GET", "/api/jobs?limit=x")
    assert (refused.status, refused.json()) == (400, {"error": "limit must be an integer"})
    unknown = gpu.ask("GET", "/api/jobs/nope")
    assert (unknown.status, unknown.json()) == (404, {"error": "Job not found"})


# Stopping and freeing.


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"nope", b"\xff", b'{"prompt_id": null}', b'{"prompt_id": ""}', b'{"prompt_id": 0}']
)
def test_an_interrupt_needs_no_body(memory_farm: Start, data: bytes) -> None:
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    prompt_id = post(gpu)
    farm.advance(0.05)
    assert answered(gpu.ask("POST", "/interrupt", data=data)) == (200, b"", None)
    farm.advance(1)
    assert gpu.ask("GET", "/history").json()[prompt_id]["status"]["status_str"] == "error"


@pytest.mark.parametrize("prompt_id", ["unknown", 5, ["x"], {"x": 1}, True])
def test_an_interrupt_of_another_job_hits_nobody(memory_farm: Start, prompt_id: Any) -> None:
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    mine = post(gpu)
    farm.advance(0.05)
    assert gpu.ask("POST", "/interrupt", json={"prompt_id": prompt_id}).status == 200
    farm.advance(1)
    assert gpu.ask("GET", "/history").json()[mine]["status"]["completed"]


@pytest.mark.parametrize("body", [None, 5, [], "x", [1], True])
@pytest.mark.parametrize("path", ["/interrupt", "/free"])
def test_a_body_that_is_no_object_makes_comfyui_raise(memory_farm: Start, path: str, body: Any) -> None:
    assert gpu_of(memory_farm).ask("POST", path, json=body).status == 500


def test_memory_is_freed_on_request(memory_farm: Start) -> None:
    """The cache is empty then."""
    instance = {"name": "gpu", "mode": "dynamic", "cache": "ram", "comfyui_version": "0.28.0"}
    farm = memory_farm({"instance": [instance]})
    gpu = farm["gpu"]
    ended(gpu, 2)
    assert answered(gpu.ask("POST", "/free", json={"free_memory": True})) == (200, b"", None)
    ended(gpu, 1)
    names = [entry["outputs"]["9"]["images"][0]["filename"] for entry in gpu.ask("GET", "/history").json().values()]
    assert names == ["ComfyUI_00001_.png", "ComfyUI_00001_.png", "ComfyUI_00002_.png"]


# The journal.


def test_every_exchange_is_in_the_log(memory_farm: Start) -> None:
    """Refused ones too; never with a port."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    gpu.ask("GET", "/history?max_items=3")
    gpu.ask("POST", "/api/prompt", data=b"{}")
    gpu.ask("GET", "/nope", headers={"Origin": "http://evil.example"})
    told = list(farm.farm.log.of(Exchanged))
    assert [(each.method, each.path, each.query, each.status) for each in told] == [
        ("GET", "/history", "max_items=3", 200),
        ("POST", "/api/prompt", "", 400),
        ("GET", "/nope", "", 403),
    ]
    assert {each.instance for each in told} == {"gpu"}
    assert [each.error for each in farm.farm.log.of(PromptRefused)] == ["no_prompt"]


def test_the_usage_source_and_the_logical_job_come_from_headers(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    headers = {"Comfy-Usage-Source": "my-app", "X-Comfyfarm-Job": "order-7"}
    farm["gpu"].ask("POST", "/prompt", json={"prompt": text_to_image()}, headers=headers)
    (job,) = farm["gpu"].ask("GET", "/queue").json()["queue_running"]
    assert job[3]["comfy_usage_source"] == "my-app"
    running = farm["gpu"].backend.instance.queue.running
    assert running is not None
    assert running.name == "order-7"
