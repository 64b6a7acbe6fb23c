"""The main function of the child process of :mod:`comfyfarm.testing.child`: ``twistd``, ended with its parent.

The parent holds the other end of the child's standard input and never writes to it.  The operating system closes it
when the parent ends, in whatever way.
"""

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

from twisted.scripts.twistd import run

from comfyfarm.config.options import PREFIX


def main(folder: str) -> None:
    """Run ``twistd`` with the arguments of this process.

    :param folder: the parent's temporary folder, removed here if the parent was killed and cannot do it.
    """
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]        # the options of this farm are the parent's
    threading.Thread(target=_end_with_parent, args=(Path(folder),), daemon=True).start()
    run()


def _end_with_parent(folder: Path) -> None:
    os.read(0, 1)       # not sys.stdin: its lock would be held when the interpreter ends

    from twisted.internet import reactor  # noqa: PLC0415  (twistd has chosen it long ago)

    running: Any = reactor
    running.callFromThread(running.addSystemEventTrigger, "after", "shutdown", shutil.rmtree, folder, True)
    os.kill(os.getpid(), signal.SIGTERM)
