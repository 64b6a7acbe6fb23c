"""Requests: the polls of a client, ``POST /prompt``, ``GET /object_info``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from benchmarks.load import Connection, Load, get, post
from benchmarks.peer import Spec
from benchmarks.rows import Effort, Result, family
from benchmarks.servers import Server, farm, peer
from comfyfarm.workflows import text_to_image

CONNECTIONS = 1, 16, 64
PROMPT_ID = "5f1b6a2e-0000-4000-8000-000000000000"
POLLS = {
    "queue": ("/queue", "/queue"),
    "prompt": ("/prompt", "/prompt"),
    "history": (f"/history/{PROMPT_ID}", "/history/{prompt_id}"),
    "system_stats": ("/system_stats", "/system_stats"),
}
AT_ONCE = {"step": "0ms", "node": "0ms", "save": "0ms", "megapixel": "0ms"}
SMALL_JOB = {       # any real server can run it, without a model
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "bench"}},
}


def cost_us(server: Server, load: Load, request: bytes, count: int) -> Callable[[], float]:
    """Return a function that sends a request so often, and returns the server's CPU time for each."""

    def measure() -> float:
        before = server.cpu_s()
        load.send(request, count)
        return (server.cpu_s() - before) * 1e6 / count

    return measure


def finish_job(port: int) -> None:
    """Have one job done, whose history is asked for."""
    connection = Connection(port)
    connection.ask(post("/prompt", {"prompt": SMALL_JOB, "prompt_id": PROMPT_ID}))
    while len(connection.ask(get(f"/history/{PROMPT_ID}"))) < 10:
        pass


@family("get")
def polls(effort: Effort) -> Iterator[Result]:
    """Each poll at 1, 16 and 64 connections, beside a bare aiohttp app with the same bodies."""
    with ExitStack() as stack:
        ours = stack.enter_context(farm({"instance": [{"name": "gpu", "timing": AT_ONCE}]}))
        finish_job(ours.port("gpu"))
        seen = Connection(ours.port("gpu"))
        bodies = {pattern: seen.ask(get(path)) for path, pattern in POLLS.values()}
        other = stack.enter_context(peer(Spec(constant=bodies)))
        pair = (ours, ours.port("gpu")), (other, other.port())
        for what, (path, _) in POLLS.items():
            for connections in CONNECTIONS:
                if effort.wants(name := f"get/{what}/{connections}"):
                    yield compare(effort, name, *pair, get(path), connections, goal=0.6)


def compare(
    effort: Effort,
    name: str,
    ours: tuple[Server, int],
    other: tuple[Server, int],
    request: bytes,
    connections: int = 1,
    *,
    goal: float | None,
    count: int = 400,
) -> Result:
    """Send the same request to both, in turns."""
    loads = [Load(port, connections) for _, port in (ours, other)]
    both = [cost_us(server, load, request, count) for (server, _), load in zip((ours, other), loads, strict=True)]
    result = effort.compare(*both, name=name, unit="us", goal=goal)
    for load in loads:
        load.close()
    return result


@family("post")
def prompts(effort: Effort) -> Iterator[Result]:
    """``POST /prompt`` on a paused instance, beside a handler that decodes the prompt and stores it."""
    with farm({"instance": [{"name": "gpu"}]}) as ours, peer(Spec()) as other:
        control = Connection(int(ours.ready["control"].rpartition(":")[2]))
        control.ask(post("/api/instances/gpu/pause", {}))
        request = post("/prompt", {"prompt": text_to_image(), "client_id": "me"})
        for connections in CONNECTIONS[:2]:
            if effort.wants(name := f"post/prompt/{connections}"):
                pair = (ours, ours.port("gpu")), (other, other.port())
                yield compare(effort, name, *pair, request, connections, goal=1.0, count=200)
                Connection(ours.port("gpu")).ask(post("/queue", {"clear": True}))


@family("object_info")
def object_info(effort: Effort) -> Iterator[Result]:
    """The facts of all node types, whole, compressed or known to the client, beside aiohttp sending the same bytes."""
    with farm({"instance": [{"name": "gpu"}]}) as ours:
        connection = Connection(ours.port("gpu"))
        connection.ask(get("/object_info"))
        asked = {"whole": (), "gzip": ("Accept-Encoding: gzip",)}
        if tag := re.search(rb"\r\netag: *([^\r]*)", connection.head, re.IGNORECASE):
            asked["304"] = (f"If-None-Match: {tag[1].decode()}",)
        for what, headers in asked.items():
            if effort.wants(name := f"object_info/{what}"):
                request = get("/object_info", *headers)
                with peer(Spec(constant={"/object_info": connection.ask(request)})) as other:
                    pair = (ours, ours.port("gpu")), (other, other.port())
                    yield compare(effort, name, *pair, request, goal=1.0, count=20)
