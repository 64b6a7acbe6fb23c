"""Runs ``comfyfarm`` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "comfyfarm.cli.main"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
_TIMEOUT_S = 60


def comfyfarm(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    words = [*COMMAND, *arguments]
    return subprocess.run(
        words, capture_output=True, text=True, env=ENVIRONMENT, timeout=_TIMEOUT_S, check=False, cwd=cwd
    )


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a command for the duration of a block."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=cwd)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(is_true: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
