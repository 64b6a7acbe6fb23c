"""Let a farm of three instances with faults run for long: its memory stays flat, and nothing of its log is missing.

A day in virtual time and ten real minutes.  A small client sends jobs, follows them, sends again what was lost and
delivers the results, so that the verdict is expected to be ``pass``.  Exits with 1 if it is not, if the log is
incomplete, or if the memory of the farm's process grows by more than 5 % after the first part of the run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from uuid import UUID

from benchmarks.load import WebSocket
from benchmarks.servers import Server, farm
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.clients.comfy_sync import HttpStatusError, SyncComfyClient, ask
from comfyfarm.testing import attach_farm
from comfyfarm.workflows import text_to_image

WARM_UP, BASE, MOST_GROWTH = 0.3, 0.1, 1.05     # shares of the run; of the memory
SAMPLES = 200
DEPTH = 3       # jobs on each instance that were sent and have not ended
FAILURES = HttpStatusError, HTTPException, OSError
INSTANCES = [
    {"name": "gpu-1", "mode": "dynamic", "history_limit": 500, "vram": "12GB"},
    {"name": "gpu-2", "mode": "dynamic", "history_limit": 500, "cache": "lru:50", "preview_method": "auto"},
    {"name": "gpu-3", "mode": "static", "history_limit": 500},
]
STEP_5 = {"phase": "step", "step": 5}
FAULTS = [
    # Without its history, a job would be lost that has ended since the client looked, and it would run twice.
    {"do": "crash", "on": "gpu-1", "at": STEP_5, "every": 200, "restart_after": "20s", "keep": ["history"]},
    {"do": "crash", "on": "gpu-3", "at": "success", "every": 450, "restart_after": "3s", "keep": ["queue", "history"]},
    {"do": "refuse", "on": "gpu-2", "at": "start", "every": 300, "duration": "15s"},
    {"do": "error", "on": "gpu-2", "at": {"phase": "step", "step": 3}, "chance": 0.01},
    {"do": "oom", "on": "gpu-1", "at": "node", "chance": 0.001},
    {"do": "drop", "at": {"phase": "reply", "route": "/prompt", "method": "POST"}, "chance": 0.01},
    {"do": "status", "status": 503, "at": {"phase": "request", "route": "/queue"}, "chance": 0.01},
    {"do": "reset", "at": {"phase": "view"}, "chance": 0.01},
    {"do": "close", "at": "frame", "chance": 0.0005},
    {"do": "mute", "at": "frame", "chance": 0.0005},
    {"do": "slow", "at": "start", "factor": 2, "chance": 0.02},
]


@dataclass(eq=False)
class Order:
    """What a user asked for, and where it was sent last."""

    name: str
    instance: str
    prompt_id: str


@dataclass(eq=False)
class Client:
    """Keeps some jobs on every instance, and delivers what they made."""

    server: Server
    orders: list[Order] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)
    delivered: int = 0
    _numbers: count[int] = field(default_factory=count)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.farm = attach_farm(self.server.ready["control"])
        self._servers = {name: SyncComfyClient(self.server.url(name)) for name in self.server.names}

    def tick(self, *, sends: bool = True) -> None:
        """Look after the jobs of each instance, and send new ones."""
        for name in self._servers:
            with suppress(*FAILURES):
                self._look(name)
                while sum(order.instance == name for order in self.orders) < DEPTH and (sends or self.unsent):
                    self._send(name)

    def _look(self, name: str) -> None:
        queue = self._servers[name].get_queue()     # before the history: a job that ends meanwhile is in that
        waiting = {item[1] for items in queue.values() for item in items}
        for order in [order for order in self.orders if order.instance == name and order.prompt_id not in waiting]:
            entry = self._servers[name].get_history(order.prompt_id).get(order.prompt_id)
            if entry is not None and entry["status"]["status_str"] == "success":
                self._deliver(order)
            else:
                self.unsent.append(order.name)
            self.orders.remove(order)

    def _deliver(self, order: Order) -> None:
        server = self._servers[order.instance]
        (file,) = server.get_output_files(order.prompt_id)
        facts = {"prompt_id": order.prompt_id, "instance": order.instance, "file": file["filename"]}
        self.farm.control.delivered(order.name, picture=server.download(file), **facts)
        self.delivered += 1

    def _send(self, name: str) -> None:
        job = self.unsent.pop() if self.unsent else f"order-{next(self._numbers)}"
        order = Order(job, name, str(UUID(int=next(self._ids), version=4)))
        prompt = text_to_image(seed=next(self._ids), prefix=name, width=64, height=64)
        body = {"prompt": prompt, "prompt_id": order.prompt_id, "client_id": name, "extra_data": {"comfyfarm_job": job}}
        try:
            ask("POST", f"{self.server.url(name)}/prompt", body)
        except FAILURES as error:
            if isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                self.unsent.append(job)
                raise
        self.orders.append(order)       # after a lost answer, too: whether it was accepted shows later


def listen(port: int, client_id: str, over: Event) -> None:
    """Read what a client is sent, on a new socket whenever one has ended."""
    while not over.is_set():
        with suppress(OSError, AssertionError), WebSocket.of(port, client_id) as socket:
            while not over.is_set():
                socket.frames()
        over.wait(0.1)


@dataclass(frozen=True)
class Run:
    """How one of the two runs goes on.

    :ivar pass_on: lets simulated time pass until the next tick.
    :ivar share: returns the share of the run that is over.
    """

    client: Client
    pass_on: Callable[[], object]
    share: Callable[[], float]

    def memory(self) -> list[float]:
        """Keep the farm at work to the end; return its resident memory in MB, in equal intervals."""
        client = self.client
        sizes: list[float] = []
        while (share := self.share()) < 1:
            client.tick()
            self.pass_on()
            if share >= len(sizes) / SAMPLES:
                sizes.append(client.server.resident_bytes() / 1e6)
        deadline = time.monotonic() + 60
        while (client.orders or client.unsent) and time.monotonic() < deadline:
            client.tick(sends=False)
            self.pass_on()
        return sizes


def soak(kind: str, length_s: float) -> bool:
    """Run once, print what was seen, and return whether all is as it shall be."""
    virtual = kind == "virtual"
    timing = {"step": "30s" if virtual else "250ms", "jitter": 0.1}     # of 512 x 512; the pictures are a 64th of that
    with TemporaryDirectory() as folder:
        log = Path(folder) / "run.jsonl"
        settings = {"clock": kind, "seed": 1, "log": str(log)}
        instances = [{**instance, "timing": timing} for instance in INSTANCES]
        with farm({"farm": settings, "instance": instances, "fault": FAULTS}) as server:
            client, over = Client(server), Event()
            for name in server.names:
                Thread(target=listen, args=(server.port(name), name, over), daemon=True).start()
            remote = client.farm
            sizes = Run(
                client,
                (lambda: remote.advance("10s")) if virtual else (lambda: time.sleep(0.1)),
                lambda: remote.control.clock().at_ms / 1000 / length_s,
            ).memory()
            verdict, used_s = remote.verdict(), server.cpu_s()
            over.set()
        with log.open("rb") as file:
            saved = analyse_saved(file, needs_end=True).verdict()
    print(f"{kind}: {verdict.summary()}; {verdict.seq} events, {verdict.at_ms / 3.6e6:.2f} h; {used_s:.0f} s of CPU")
    return all([is_flat(sizes), is_complete(client, verdict, saved)])


def is_flat(sizes: list[float]) -> bool:
    """Print the memory after the warm-up, and return whether it stays within the bound."""
    warm, later = int(WARM_UP * len(sizes)), int((WARM_UP + BASE) * len(sizes))
    base, top = median(sizes[warm:later]), max(sizes[later:])
    growth = f"{base:.1f} MB after the warm-up, then at most {top:.1f} MB ({top / base - 1:+.1%})"
    print(f"  memory: {sizes[0]:.1f} MB at first, {growth}: {'flat' if top <= base * MOST_GROWTH else 'GROWS'}")
    print("  " + " ".join(f"{size:.0f}" for size in sizes[:: SAMPLES // 20]))
    return top <= base * MOST_GROWTH


def is_complete(client: Client, live: Verdict, saved: Verdict) -> bool:
    """Print the findings, and return whether the verdict is ``pass`` and knows every order, live and from the file."""
    same = (live.orders, live.delivered, live.attempts) == (saved.orders, saved.delivered, saved.attempts)
    for finding in saved.findings[:5]:
        print(f"  {finding.severity}: {finding.finding}: {finding.says}")
    print(f"  {client.delivered} delivered, {saved.delivered} of them in the saved log, which says {saved.verdict}")
    return same and saved.verdict == live.verdict == "pass" and saved.delivered == client.delivered == saved.orders


def main() -> None:
    """Run what is wanted."""
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kinds", metavar="KIND", nargs="*", help="virtual or real; default: both")
    parser.add_argument("--hours", type=float, default=24, help="of virtual time")
    parser.add_argument("--minutes", type=float, default=10, help="of real time")
    options = parser.parse_args()
    lengths: dict[str, float] = {"virtual": options.hours * 3600, "real": options.minutes * 60}
    if unknown := set(options.kinds) - set(lengths):
        parser.error(f"no such kind: {', '.join(unknown)}")
    results = [soak(kind, lengths[kind]) for kind in options.kinds or lengths]      # both, even if the first fails
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
