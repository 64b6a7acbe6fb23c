"""Does the page stay live under load, and does it leave the instances alone?

    python -m benchmarks.live_page [SECONDS]

A farm of 100 instances in a process of its own gets 200 jobs a second over HTTP from another process, while a third
asks an instance without work for its queue, fifty times a second.  First nobody looks, then the page is open in a
browser, then the report, the placement, the metrics and so on are asked for as well, one after the other.  The
figures of each part (SECONDS long, 15): how long ``GET /queue`` took; how long the page needed to draw the lanes, and
the time between two of the browser's frames.  Browser, clients and farm share the cores of one machine.  So what counts
of the time for ``GET /queue`` is the CPU time that the farm's process used meanwhile, if that is less.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

from benchmarks.load import Connection, get
from benchmarks.servers import farm
from benchmarks.usage import cpu_s
from comfyfarm.workflows import text_to_image

INSTANCES, JOBS_PER_SECOND = 100, 200
ASK_EVERY_S = 0.02
LIMIT_MS = {"queue": 20, "draw": 50}
FARM = {
    "farm": {"seed": 1},
    "instance": [
        {"name": "gpu-{n}", "count": INSTANCES},
        {"name": "other"},
    ],
}
QUESTIONS = ("/api/report", "/api/placement", "/api/verdict", "/api/test", "/api/farm", "/api/timeline", "/metrics")
FRAMES = """() => {
    const gaps = window.gaps = [];
    let last = performance.now();
    const note = () => {
        const now = performance.now();
        gaps.push(now - last);
        last = now;
        requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
    window.comfyfarm.frames.length = 0;
}"""


def share(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def figures(values: Sequence[float]) -> str:
    return f"p50 {share(values, 0.5):6.1f}  p95 {share(values, 0.95):6.1f}  worst {max(values, default=0):6.1f} ms"


# Processes of their own.


def ask_queue(port: int, pid: int, pipe: Pipe) -> None:
    """Ask again and again, and answer each message of the pipe with the times in milliseconds since the last.

    :param pid: of the farm's process, whose CPU time is the second of each pair.
    """
    connection, request = Connection(port), get("/queue")
    took: list[tuple[float, float]] = []
    while True:
        began_s, before_s = time.perf_counter(), cpu_s(pid)
        connection.ask(request)
        took.append((1000 * (time.perf_counter() - began_s), 1000 * (cpu_s(pid) - before_s)))
        if pipe.poll():
            pipe.recv()
            pipe.send(took)
            took = []
        time.sleep(ASK_EVERY_S)


def send_jobs(urls: Sequence[str]) -> None:
    asyncio.run(_send_all(urls))


async def _send_all(urls: Sequence[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for index, url in enumerate(urls):
            group.create_task(_send_to(url, index, len(urls)))


async def _send_to(url: str, index: int, count: int) -> None:
    """Send jobs to one instance, at its share of the whole rate."""
    host = urlsplit(url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    every_s, number = count / JOBS_PER_SECOND, 0
    due = time.monotonic() + every_s * index / count
    while True:
        await asyncio.sleep(due - time.monotonic())
        due += every_s
        number += 1
        body = json.dumps({"prompt": text_to_image(seed=number * count + index)}).encode()
        head = f"POST /prompt HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))


@contextmanager
def process(target: Any, *arguments: Any) -> Iterator[None]:
    started = get_context("spawn").Process(target=target, args=arguments, daemon=True)
    started.start()
    try:
        yield
    finally:
        started.terminate()
        started.join()


# The parts.


@dataclass
class Bench:
    """:ivar failures: the limits that were not kept."""

    control_url: str
    pipe: Pipe
    seconds: float
    failures: list[str]

    def part(self, title: str, page: Page | None = None) -> None:
        self.queue_times()
        if page is not None:
            page.evaluate(FRAMES)
            page.wait_for_timeout(1000 * self.seconds)
        else:
            time.sleep(self.seconds)
        queue = self.queue_times()
        counted = [min(times) for times in queue]
        print(f"{title}\n  GET /queue elsewhere  {figures([waited for waited, _ in queue])}")
        print(f"  of it, what counts    {figures(counted)}")
        self.check(title, "queue", max(counted))
        if page is not None:
            drawn, gaps = page.evaluate("() => [[...window.comfyfarm.frames], window.gaps]")
            print(f"  the lanes are drawn   {figures(drawn)}\n  between two frames    {figures(gaps)}")
            self.check(title, "draw", share(gaps, 0.95))
            behind = page.evaluate("() => window.comfyfarm.store.farm.seq")
            print(f"  events on the page {behind:,}, in the farm {json.loads(self.get('/api/verdict'))['seq']:,}")

    def check(self, title: str, name: str, ms: float) -> None:
        if ms > LIMIT_MS[name]:
            self.failures.append(f"{title}: {name} {ms:.1f} ms, expected at most {LIMIT_MS[name]}")

    def queue_times(self) -> list[tuple[float, float]]:
        self.pipe.send("times")
        return list(self.pipe.recv())

    def get(self, path: str) -> bytes:
        connection = HTTPConnection(urlsplit(self.control_url).netloc)
        connection.request("GET", path)
        content = connection.getresponse().read()
        connection.close()
        return content

    def ask_all(self, until: float) -> dict[str, float]:
        """Ask all questions, one after the other, until then; return the longest time that each took, in seconds."""
        worst = dict.fromkeys(QUESTIONS, 0.0)
        while time.monotonic() < until:
            for path in QUESTIONS:
                began = time.monotonic()
                self.get(path)
                worst[path] = max(worst[path], time.monotonic() - began)
        return worst


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    with farm(FARM) as server:
        urls = [server.url(name) for name in server.names if name != "other"]
        mine, theirs = get_context("spawn").Pipe()
        with process(ask_queue, server.port("other"), server.pid, theirs), process(send_jobs, urls):
            bench = Bench(server.ready["control"], mine, seconds, [])
            time.sleep(3)
            bench.part("nobody looks")
            look(bench)
    print(*bench.failures, sep="\n")
    sys.exit(1 if bench.failures else 0)


def look(bench: Bench) -> None:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1240, "height": 900})
        page.goto(bench.control_url)
        page.wait_for_selector("#stream.live")
        page.wait_for_timeout(3000)
        bench.part("the page is open", page)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(bench.ask_all, time.monotonic() + bench.seconds)
            bench.part("and the report and so on are asked for", page)
            print(*(f"  {path:18} at most {took:5.2f} s" for path, took in asked.result().items()), sep="\n")
        browser.close()


if __name__ == "__main__":
    main()
