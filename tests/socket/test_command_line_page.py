"""docs/command-line.md: each block runs, in its order, and every command is used."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import ExitStack
from pathlib import Path
from socket import create_server

from comfyfarm.cli.main import COMMANDS
from tests.support.commands import COMMAND, ENVIRONMENT

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def free_ports() -> tuple[int, int]:
    """Return two ports that are free, the first with two more after it."""
    for first in range(21_000, 32_000, 7):
        with ExitStack() as taken:
            try:
                for port in range(first, first + 4):
                    taken.enter_context(create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first, first + 3
    raise AssertionError("no free ports")


def test_every_block_runs_as_written_one_after_the_other(tmp_path: Path) -> None:
    """Only the ports are others, so that a farm may run on this machine."""
    port, control = free_ports()
    bin_folder, folder = tmp_path / "bin", tmp_path / "empty"
    for new in (bin_folder, folder):
        new.mkdir()
    command = bin_folder / "comfyfarm"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    command.chmod(0o755)
    ports = {"PORT": str(port), "CONTROL_PORT": str(control), "CONTROL": f"http://127.0.0.1:{control}"}
    environment = {
        **ENVIRONMENT,
        **{f"COMFYFARM_{name}": value for name, value in ports.items()},
        "PATH": f"{bin_folder}:{ENVIRONMENT['PATH']}",
    }
    script = "\n".join(BLOCKS).replace("http://127.0.0.1:8188", f"http://127.0.0.1:{port}")
    done = subprocess.run(
        ["bash", "-c", f"set -xeuo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    written = {path.name for path in folder.iterdir()}
    assert written >= {"config.toml", "mine.json", "pictures", "box", "run.jsonl", "run.html", "all.jsonl"}


def test_every_command_is_on_the_page() -> None:
    used = set(re.findall(r"^comfyfarm (\w+)", "\n".join(BLOCKS), re.MULTILINE))
    assert used == set(COMMANDS)
