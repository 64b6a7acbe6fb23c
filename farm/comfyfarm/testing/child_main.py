"""What runs in the child process of :mod:`comfyfarm.testing.child`?

``twistd``, with one thing more: the child ends when its parent does.  The parent holds the other end of the
child's standard input and never writes to it, so it closes when the parent is gone, however that came about.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

from twisted.scripts.twistd import run


def main(folder: str) -> None:
    """Be ``twistd`` with the arguments of this process.

    :param folder: what the parent made for us, and cannot remove when it is killed.
    """
    threading.Thread(target=_end_with_parent, args=(Path(folder),), daemon=True).start()
    run()


def _end_with_parent(folder: Path) -> None:
    os.read(0, 1)       # not sys.stdin: its lock would be held when the interpreter ends

    from twisted.internet import reactor  # noqa: PLC0415  (chosen by twistd, long ago)

    running: Any = reactor
    running.callFromThread(running.addSystemEventTrigger, "after", "shutdown", shutil.rmtree, folder, True)
    os.kill(os.getpid(), signal.SIGTERM)
