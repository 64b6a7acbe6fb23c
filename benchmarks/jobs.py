"""Jobs from end to end, and the frames of many websockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.http import AT_ONCE, SMALL_JOB
from benchmarks.load import Connection, WebSocket, get, post
from benchmarks.peer import Spec
from benchmarks.rows import Effort, Result, family
from benchmarks.servers import Server, farm, peer
from comfyfarm.workflows import text_to_image

LAST = b'"node": null'
SOCKETS = 1000
LISTENERS = 50
GROUPS = {"heard": LISTENERS, "alone": LISTENERS, "crowd": 1}
PAUSE_MS = 1
STEADY = {"step": f"{PAUSE_MS}ms", "node": f"{PAUSE_MS}ms", "save": "0ms"}
_FILE = re.compile(rb'"filename": "([^"]*)"')
_ID = re.compile(rb'"prompt_id": "([^"]*)"')


@dataclass(eq=False)
class JobClient:
    """A client that sends a job, follows it, and fetches its history entry and its picture."""

    port: int
    prompt: dict[str, Any]

    def __post_init__(self) -> None:
        self._request = post("/prompt", {"prompt": self.prompt, "client_id": "me"})
        self._connection, self._socket = Connection(self.port), WebSocket.of(self.port, "me")

    def do_job(self) -> tuple[list[bytes], bytes, bytes]:
        """Do one, and return its frames, its history entry and its picture."""
        prompt_id = _group(_ID, self._connection.ask(self._request))
        frames = self._socket.frames_until(LAST)
        file = _group(_FILE, next(frame for frame in frames if b'"executed"' in frame))
        entry = self._connection.ask(get(f"/history/{prompt_id}"))
        return frames, entry, self._connection.ask(get(f"/view?filename={file}&type=output"))


def _group(pattern: re.Pattern[bytes], data: bytes) -> str:
    found = pattern.search(data)
    assert found is not None, data
    return found[1].decode()


def job_cost_ms(server: Server, client: JobClient, count: int) -> Callable[[], float]:
    """Return a function that does so many jobs, and returns the server's CPU time for each."""

    def measure() -> float:
        before = server.cpu_s()
        for _ in range(count):
            client.do_job()
        return (server.cpu_s() - before) * 1e3 / count

    return measure


@family("job")
def jobs(effort: Effort) -> Iterator[Result]:
    """A job from end to end, beside an aiohttp app that sends the same bytes and does nothing for them."""
    for name, mode, prompt, goal in (
        ("job/static", "static", SMALL_JOB, 0.5),
        ("job/dynamic", "dynamic", SMALL_JOB, 0.8),
        ("job/20-steps/static", "static", text_to_image(), None),
        ("job/20-steps/dynamic", "dynamic", text_to_image(), None),
    ):
        if effort.wants(name):
            yield compare_jobs(effort, name, mode, prompt, goal)


def compare_jobs(effort: Effort, name: str, mode: str, prompt: dict[str, Any], goal: float | None) -> Result:
    """Have the same job done by both, in turns."""
    with ExitStack() as stack:
        ours = stack.enter_context(farm({"instance": [{"name": "gpu", "mode": mode, "timing": AT_ONCE}]}))
        client = JobClient(ours.port("gpu"), prompt)
        client.do_job()
        frames, entry, picture = client.do_job()
        messages = [json.loads(frame) for frame in frames]
        other = stack.enter_context(
            peer(Spec(constant={"/history/{prompt_id}": entry, "/view": picture}, messages=messages))
        )
        count = 40
        costs = job_cost_ms(ours, client, count), job_cost_ms(other, JobClient(other.port(), prompt), count)
        return effort.compare(*costs, name=name, unit="ms", goal=goal, bounds="ours")


@family("frames")
def frames(effort: Effort) -> Iterator[Result]:
    """1,000 websockets, beside those of an aiohttp server that sends the same."""
    if effort.wants("frames/broadcast"):
        yield broadcast(effort)
    if effort.wants("frames/directed"):
        yield directed(effort)


def broadcast(effort: Effort) -> Result:
    """A status for everybody, which an emptied queue causes."""
    count = 20
    with farm({"instance": [{"name": "gpu"}]}) as ours, peer(Spec()) as other:
        costs = [
            broadcast_cost_us(server, port, [WebSocket.of(port, f"c{number}") for number in range(SOCKETS)], count)
            for server, port in ((ours, ours.port("gpu")), (other, other.port()))
        ]
        return effort.compare(*costs, name="frames/broadcast", unit="us", goal=0.5)


def broadcast_cost_us(server: Server, port: int, sockets: Sequence[WebSocket], count: int) -> Callable[[], float]:
    """Return a function that has so many messages sent to all, and returns the CPU time of each frame."""
    connection, request = Connection(port), post("/queue", {"clear": True})

    def measure() -> float:
        before = server.cpu_s()
        for _ in range(count):
            connection.ask(request)
        for socket in sockets:
            socket.take(count)
        return (server.cpu_s() - before) * 1e6 / count / len(sockets)

    for socket in sockets:
        if server.names:
            socket.take(1)      # the status that greets a client
    return measure


def directed(effort: Effort) -> Result:
    """The messages of jobs, each for one of 1,000 sockets; what the same jobs cost without a listener is taken off.

    A socket that is written to is alone on its instance, so that messages to everybody go to it only.
    """
    instances = [{"name": f"{kind}-{{n}}", "count": count, "timing": STEADY} for kind, count in GROUPS.items()]
    request = post("/prompt", {"prompt": text_to_image(), "client_id": "me"})
    with farm({"instance": instances}) as ours:
        heard, alone = ([ours.port(f"{kind}-{n + 1}") for n in range(LISTENERS)] for kind in ("heard", "alone"))
        sockets = [WebSocket.of(port, "me") for port in heard]
        crowd = [WebSocket.of(ours.port("crowd-1"), f"c{number}") for number in range(LISTENERS, SOCKETS)]
        for socket in sockets + crowd:
            socket.take(1)      # the status that greets a client
        Connection(heard[0]).ask(request)
        messages = [json.loads(frame) for frame in sockets[0].frames_until(LAST)]
        with peer(Spec(messages=messages, pause_s=PAUSE_MS / 1000)) as other:
            theirs = [WebSocket.of(other.port(), f"c{number}") for number in range(SOCKETS)]
            named = [post("/prompt", {"prompt": {}, "client_id": f"c{number}"}) for number in range(LISTENERS)]
            connection, nobody = Connection(other.port()), post("/prompt", {"prompt": {}, "client_id": "nobody"})
            ours_heard, ours_alone = ([(Connection(port), request) for port in ports] for ports in (heard, alone))
            their_heard, their_alone = [(connection, prompt) for prompt in named], [(connection, nobody)] * LISTENERS
            return effort.compare(
                directed_cost_us(ours, ours_heard, ours_alone, sockets, len(messages)),
                directed_cost_us(other, their_heard, their_alone, theirs[:LISTENERS], len(messages)),
                name="frames/directed",
                unit="us",
                goal=0.5,
            )


Prompts = Sequence[tuple[Connection, bytes]]


def directed_cost_us(
    server: Server, heard: Prompts, alone: Prompts, sockets: Sequence[WebSocket], frames: int
) -> Callable[[], float]:
    """Return a function that has jobs done with and without listeners, and returns the CPU time of each frame.

    :param frames: for each socket.
    """

    def cost_s(prompts: Prompts, listeners: Sequence[WebSocket]) -> float:
        before = server.cpu_s()
        for connection, request in prompts:
            connection.ask(request)
        for socket in listeners:
            socket.take(frames)
        server.settle()
        return server.cpu_s() - before

    return lambda: (cost_s(heard, sockets) - cost_s(alone, ())) * 1e6 / len(sockets) / frames
