"""How a farm starts, and what it uses while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.rows import Effort, Result, family
from benchmarks.servers import TWISTD, Server, farm

MANY, CROWD = 100, 1000
EMPTY = """
from pathlib import Path
from twisted.application.service import Application
from twisted.internet import reactor

def tell():
    Path({ready!r}).with_suffix(".new").write_text("{{}}")
    Path({ready!r}).with_suffix(".new").rename({ready!r})

application = Application("empty")
reactor.callWhenRunning(tell)
"""


@family("start")
def start(effort: Effort) -> Iterator[Result]:
    """The CPU time until the ready file is there, beside an empty twistd; memory and CPU time when idle."""
    if effort.wants("start/100"):
        facts = {"name": "start/100", "unit": "s more", "goal": 0.5, "bounds": "ours"}
        peer = "a twistd that serves nothing"
        yield effort.few().compare(lambda: start_farm_s() - start_empty_s(), start_empty_s, peer=peer, **facts)
    if effort.wants("start/memory") or effort.wants("start/idle"):
        yield from idle(effort)


def start_farm_s() -> float:
    """Return the CPU seconds until a farm of 100 instances is ready."""
    with farm(instances(MANY)) as server:
        return server.start_cpu_s


def start_empty_s() -> float:
    """Return the CPU seconds until an empty twistd runs."""
    with TemporaryDirectory() as folder:
        ready, code = Path(folder) / "ready.json", Path(folder) / "empty.tac"
        code.write_text(EMPTY.format(ready=str(ready)))
        server = Server(["-c", TWISTD, "-n", "--pidfile=", "-y", str(code)], ready)
        server.stop()
        return server.start_cpu_s


def idle(effort: Effort) -> Iterator[Result]:
    """The memory of each of 1,000 instances, and the CPU time of all of them while nothing happens."""
    with farm(instances(1)) as server:
        one_bytes = server.resident_bytes()
    with farm(instances(CROWD)) as server:
        kilobytes = (server.resident_bytes() - one_bytes) / (CROWD - 1) / 1000
        seconds = effort.of(20, 5)
        before = server.cpu_s()
        time.sleep(seconds)
        share = (server.cpu_s() - before) / seconds
    yield Result(name="start/memory", unit="kB each", ours=kilobytes, goal=60, bounds="ours")
    yield Result(name="start/idle", unit="% CPU", ours=share * 100, goal=0.5, bounds="ours")


def instances(count: int) -> dict[str, object]:
    """Return the configuration of a farm of so many."""
    return {"instance": [{"name": "gpu-{n}", "count": count}]}
