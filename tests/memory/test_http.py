"""What holds for every exchange: origins, sizes, caches, errors, and what is switched off."""

import ast
import struct
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from comfyfarm.server.websocket.connection import LONGEST_BYTES
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.testing.memory_client import Reply

Start = Callable[[Any], MemoryFarm]

ASSET = "00000000-0000-4000-8000-000000000000"


def gpu_with(memory_farm: Start, **settings: Any) -> MemoryInstance:
    return memory_farm({"instance": [{"name": "gpu", **settings}]})["gpu"]


def origins(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control")}


# Origins.


def test_other_origins_are_turned_away(memory_farm: Start) -> None:
    """Unless they may come; nothing is told to a browser then."""
    gpu = gpu_with(memory_farm)
    reply = gpu.ask("GET", "/queue", headers={"Origin": "http://evil.example"})
    assert (reply.status, reply.body, origins(reply)) == (403, b"", {})
    assert origins(gpu.ask("GET", "/queue")) == {}


@pytest.mark.parametrize(("setting", "origin"), [(True, "*"), ("http://app.example", "http://app.example")])
def test_other_origins_may_come(memory_farm: Start, setting: object, origin: str) -> None:
    """Every reply of ComfyUI's says so, the question of a browser and what is not there too."""
    gpu = gpu_with(memory_farm, enable_cors=setting)
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    replies = [
        gpu.ask(method, path, headers=foreign)
        for method, path in (("GET", "/queue"), ("OPTIONS", "/nope"), ("GET", "/nope"), ("HEAD", "/queue"))
    ]
    assert [reply.status for reply in replies] == [200, 200, 404, 200]
    assert [origins(reply) for reply in replies] == [
        {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": "POST, GET, DELETE, PUT, OPTIONS, PATCH",
            "access-control-allow-headers": "Content-Type, Authorization",
            "access-control-allow-credentials": "true",
        }
    ] * 4


def test_what_aiohttp_says_itself_bears_no_such_headers(memory_farm: Start) -> None:
    """ComfyUI does not get to see these replies."""
    gpu = gpu_with(memory_farm, enable_cors=True, max_upload_size="1KB")
    replies = [
        gpu.ask("PUT", "/queue"),
        gpu.ask("POST", "/prompt", data=b"x" * 2000),
        gpu.ask("POST", "/prompt", data=b"{"),
        gpu.ask("GET", "//queue"),
        gpu.ask("GET", "/assets"),
        gpu.ask("GET", "/internal/nope"),
    ]
    assert [reply.status for reply in replies] == [405, 413, 500, 404, 403, 404]
    assert [origins(reply) for reply in replies] == [{}] * 6


# Sizes.


def test_a_body_may_be_as_big_as_is_set(memory_farm: Start) -> None:
    """For every route; clients read the limit among the features."""
    gpu = gpu_with(memory_farm, max_upload_size="1KB")
    reply = gpu.ask("POST", "/settings/a", data=b'"' + b"x" * 1023 + b'"')
    assert (reply.status, reply.headers["content-type"]) == (413, "text/plain; charset=utf-8")
    assert reply.body == b"Maximum request body size 1024 exceeded."
    assert gpu.ask("POST", "/settings/a", data=b'"' + b"x" * 1022 + b'"').status == 200
    assert gpu.ask("GET", "/features").json()["max_upload_size"] == 1024


@pytest.mark.parametrize("size", [LONGEST_BYTES - 1, LONGEST_BYTES])
@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_a_websocket_message_may_be_four_megabytes_less_one(memory_farm: Start, size: int, kind: str) -> None:
    """One that is longer ends the connection, with the code that says why."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    listener = farm["gpu"].listen("me")
    wire: Any = listener.transport
    closes: list[int] = []
    if kind == "text":
        wire.sendTextMessage("x" * size)
    else:
        wire.sendBytesMessage(b"x" * size)
    receive = wire.dataReceived

    def spy(data: bytes) -> None:
        if data[:1] == b"\x88":
            closes.append(struct.unpack(">H", data[2:4])[0])
        receive(data)

    wire.dataReceived = spy
    farm.advance(0)
    assert closes == ([1009] if size == LONGEST_BYTES else [])
    assert (listener.lost is None) == (size < LONGEST_BYTES)


# Caches.


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/nope.js", "no-store"),
        ("/settings/a.css", "no-store"),
        ("/settings/index-1.json", "no-store"),
        ("/settings/other.json", None),
        ("/settings/a.webp", "public, max-age=86400"),
        ("/nope.png", "public, max-age=86400"),
        ("/models/nope.png", "public, max-age=3600"),
        ("/userdata/nope.png", "public, max-age=3600"),
        ("/userdata/..%2Fnope.png", None),
        ("/internal/nope.png", None),
        ("/queue", None),
    ],
)
def test_the_end_of_a_path_says_how_long_a_reply_may_be_kept(memory_farm: Start, path: str, kept: str | None) -> None:
    """What is not among the page's files counts as there; what a route does not find is looked for again sooner."""
    assert gpu_with(memory_farm).ask("GET", path).headers.get("cache-control") == kept


# Errors.


def test_a_browser_gets_an_error_as_a_page(memory_farm: Start) -> None:
    """As aiohttp makes it."""
    reply = gpu_with(memory_farm).ask("POST", "/prompt", data=b"{", headers={"Accept": "text/html,*/*"})
    assert (reply.status, reply.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert reply.body.startswith(b"<html><head><title>500 Internal Server Error</title></head><body>\n<h1>500 ")


# What is switched off, and what there is none of.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/assets"),
        ("POST", "/api/assets"),
        ("HEAD", "/api/assets/hash/blake3:00"),
        ("PUT", f"/api/assets/{ASSET}"),
        ("GET", f"/api/assets/{ASSET}/content"),
        ("DELETE", f"/api/assets/{ASSET}/tags"),
        ("POST", "/api/assets/from-hash"),
        ("GET", "/api/assets/tags/refine"),
        ("POST", "/api/assets/seed"),
        ("GET", "/api/assets/seed/status"),
        ("POST", "/api/assets/seed/cancel"),
        ("POST", "/api/assets/prune"),
        ("GET", "/api/tags"),
    ],
)
def test_assets_are_switched_off(memory_farm: Start, method: str, path: str) -> None:
    """And say so, with the prefix only."""
    gpu = gpu_with(memory_farm)
    reply = gpu.ask(method, path)
    assert reply.status == 503
    if method != "HEAD":
        assert reply.json()["error"]["code"] == "SERVICE_DISABLED"
    assert gpu.ask(method, path.removeprefix("/api")).status in (403, 404, 405)


def test_only_a_uuid_names_an_asset(memory_farm: Start) -> None:
    """Anything else is no route."""
    gpu = gpu_with(memory_farm)
    assert gpu.ask("GET", "/api/assets/nope").status == 404
    assert gpu.ask("GET", "/api/assets/hash/blake3:00").status == 404


def test_models_are_listed_with_what_a_disk_would_say(memory_farm: Start) -> None:
    """Though none is there; a folder without models is none of the page's."""
    gpu = gpu_with(memory_farm, models={"checkpoints": ["a.safetensors", "sd_xl_base_1.0.safetensors"]})
    names = [each["name"] for each in gpu.ask("GET", "/experiment/models").json()]
    assert "checkpoints" in names
    assert not {"configs", "custom_nodes"}.intersection(names)
    first, second = gpu.ask("GET", "/experiment/models/checkpoints").json()
    assert list(first) == ["name", "pathIndex", "modified", "created", "size"]
    assert second["size"] == round(6.94 * 1024**3)
    assert gpu.ask("GET", "/experiment/models/configs").status == 404


def test_models_have_no_previews_and_no_metadata(memory_farm: Start) -> None:
    """A bad index is looked at first."""
    gpu = gpu_with(memory_farm)
    paths = ("checkpoints/0/a.safetensors", "text_encoders/1/sub/a", "checkpoints/1/a", "checkpoints/x/a", "no/x/a")
    statuses = [gpu.ask("GET", f"/experiment/models/preview/{path}").status for path in paths]
    assert statuses == [404, 404, 404, 400, 404]
    reply = gpu.ask("GET", "/view_metadata/checkpoints?filename=sd_xl_base_1.0.safetensors")
    assert (reply.status, reply.body, reply.headers.get("content-type")) == (404, b"", None)


def test_the_page_finds_what_packs_bring(memory_farm: Start) -> None:
    """Each subgraph is a workflow of one node, empty inside."""
    gpu = gpu_with(memory_farm)
    assert gpu.ask("GET", "/workflow_templates").json() == gpu.ask("GET", "/i18n").json() == {}
    assert gpu.ask("GET", "/node_replacements").json()["ImageBatch"][0]["new_node_id"] == "BatchImagesNode"
    listed = gpu.ask("GET", "/global_subgraphs").json()
    key, entry = next(iter(listed.items()))
    whole = gpu.ask("GET", f"/global_subgraphs/{key}").json()
    assert {name: whole[name] for name in entry} == entry
    assert '"definitions"' in whole["data"]
    assert gpu.ask("GET", "/global_subgraphs/nope").json() is None


def test_every_route_has_a_name_of_its_own() -> None:
    """Klein knows a route by its function's name alone, whatever module that is in, and forgets the older one."""
    functions = [
        node.name
        for file in files("comfyfarm.server.routes").iterdir()
        if file.name.endswith(".py")
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list
    ]
    assert [name for name, count in Counter(functions).items() if count > 1] == []
