"""Servers in child processes, and what they use of the machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from benchmarks import usage
from comfyfarm.config.sources import config_file

_READY_WITHIN_S = 120
_IDLE_S = 0.0005        # of CPU time within a tenth of a second
_PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
TWISTD = "from twisted.scripts.twistd import run; run()"


class Server:
    """A server in a child process.

    :ivar pid: of its process.
    :ivar ready: what it wrote when it served.
    :ivar start_cpu_s: the CPU time that it had used by then.
    """

    def __init__(self, words: Sequence[str], ready: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(ready.parent)}
        with (ready.parent / f"{ready.name}.log").open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 (our own code)
                [sys.executable, *words], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.pid = self._child.pid
        keep_apart(self.pid)
        deadline = time.monotonic() + _READY_WITHIN_S
        while not ready.exists():
            assert self._child.poll() is None, Path(log.name).read_text(errors="replace")
            assert time.monotonic() < deadline, "the server was not ready in time"
            time.sleep(0.002)
        self.start_cpu_s = self.cpu_s()
        self.ready: dict[str, Any] = json.loads(ready.read_bytes())

    def cpu_s(self) -> float:
        return usage.cpu_s(self.pid)

    def settle(self) -> None:
        """Wait until it has nothing to do."""
        last_s = -1.0
        while (now_s := self.cpu_s()) > last_s + _IDLE_S:
            last_s = now_s
            time.sleep(0.1)

    def resident_bytes(self) -> int:
        return usage.resident_bytes(self.pid)

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait()

    @property
    def names(self) -> list[str]:
        """The instances of a farm."""
        return list(self.ready.get("instances", ()))

    def url(self, name: str) -> str:
        """Return that of an instance."""
        return str(self.ready["instances"][name]["url"])

    def port(self, name: str = "") -> int:
        """Return the port of an instance; without a name, the peer's."""
        return int(self.url(name).rpartition(":")[2]) if name else int(self.ready["port"])


def keep_apart(pid: int) -> None:
    """Give a server a processor of its own, and this process, its client, the others.

    Where both run on one processor by chance, a request costs the server half as much as where each wakes the other.
    """
    if len(_PROCESSORS) > 1:
        os.sched_setaffinity(pid, _PROCESSORS[:1])
        os.sched_setaffinity(0, _PROCESSORS[1:])


@contextmanager
def farm(config: dict[str, Any]) -> Iterator[Server]:
    """Run a farm of this configuration; instances without a port get free ones."""
    with TemporaryDirectory() as folder:
        path, ready = Path(folder), Path(folder) / "ready.json"
        words = ["-n", "--pidfile=", "comfyfarm", "--control-port", "0", "--ready-file", str(ready)]
        with stopped_at_end(Server(["-c", TWISTD, *words, "--config", str(config_file(config, path))], ready)) as it:
            yield it


@contextmanager
def peer(spec: msgspec.Struct) -> Iterator[Server]:
    """Run the aiohttp server of :mod:`benchmarks.peer`."""
    with TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "spec.json").write_bytes(msgspec.json.encode(spec))
        words = ["-m", "benchmarks.peer", str(path / "spec.json"), str(path / "ready.json")]
        with stopped_at_end(Server(words, path / "ready.json")) as it:
            # aiohttp reads up to 256 KiB at once.  Until a client has disconnected, which frees the first whole block
            # of that size, each read maps memory, and takes 16 us more.
            socket.create_connection(("127.0.0.1", it.port())).close()
            it.settle()
            yield it


@contextmanager
def stopped_at_end(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()
