"""Runs ``comfyfarm`` as a process."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "comfyfarm.cli.main"]
TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
_TIMEOUT_S = 60


def comfyfarm(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    words = [*COMMAND, *arguments]
    return subprocess.run(
        words, capture_output=True, text=True, env=ENVIRONMENT, timeout=_TIMEOUT_S, check=False, cwd=cwd
    )


def environment_with_commands(folder: Path) -> dict[str, str]:
    """Write ``comfyfarm`` and ``twistd`` into a folder, and return an environment in which they are found."""
    folder.mkdir()
    for name, words in (("comfyfarm", COMMAND), ("twistd", TWISTD)):
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        command.chmod(0o755)
    return {**ENVIRONMENT, "PATH": f"{folder}:{ENVIRONMENT['PATH']}"}


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
