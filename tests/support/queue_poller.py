"""How long an instance does not answer, as seen by a process that asks for its queue every 20 ms.

``with Poller(port, pid) as poller: ...`` and then ``poller.worst_ms``.  Run as a module, it is that process.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from benchmarks.load import Connection, get
from benchmarks.usage import cpu_s

INTERVAL_S = 0.02
_ROOT = Path(__file__).parent.parent.parent


class Poller:
    """A process that asks while a ``with`` block runs.

    :ivar worst_ms: the longest wait for an answer, valid after the block.  What counts of a wait is the CPU time that
        the farm's process used meanwhile, if that is less: others may keep the machine busy.
    """

    worst_ms: float

    def __init__(self, port: int, pid: int) -> None:
        self._words = [sys.executable, "-m", "tests.support.queue_poller", str(port), str(pid)]

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(self._words, stdin=pipe, stdout=pipe, cwd=_ROOT)
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        output, _errors = self._child.communicate()
        self.worst_ms = float(output)


def poll(port: int, pid: int) -> float:
    """Ask until the standard input ends, and return the longest wait in milliseconds."""
    connection, request, worst_s = Connection(port), get("/queue"), 0.0
    connection.ask(request)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        before = time.monotonic(), cpu_s(pid)
        connection.ask(request)
        waited_s, used_s = time.monotonic() - before[0], cpu_s(pid) - before[1]
        worst_s = max(worst_s, min(waited_s, used_s))
        if select.select([0], [], [], max(0.0, INTERVAL_S - waited_s))[0] and not os.read(0, 1):
            return worst_s * 1000


if __name__ == "__main__":
    sys.stdout.write(str(poll(int(sys.argv[1]), int(sys.argv[2]))))
