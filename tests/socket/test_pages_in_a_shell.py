"""The blocks of the pages that are for a shell: those of a page run in its order, in a folder of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from socket import create_server

import pytest

from comfyfarm.cli.main import COMMANDS
from tests.support.commands import environment_with_commands
from tests.support.pages import ROOT, blocks_to_run, pages_with, read_blocks

DOCS = ROOT / "docs"
COMMAND_LINE = DOCS / "command-line.md"
FOREGROUND = re.compile(r"^((?:comfyfarm run|twistd) [^&\n]*)$", re.MULTILINE)
PORT = re.compile(r"\b81(\d\d)\b")      # those that the pages use lie in this hundred
BEFORE = """
set -xeuo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
curl() { command curl --silent --show-error --fail-with-body "$@"; }
"""


def free_hundred() -> int:
    """Return a number of hundreds of which the ports that the pages use are free."""
    for hundred in range(210, 320):
        with ExitStack() as taken:
            try:
                for port in (hundred * 100 + number for number in range(80, 96)):
                    taken.enter_context(create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return hundred
    raise AssertionError("no free ports")


def run_blocks(page: Path, folder: Path) -> set[str]:
    """Run them as written, except for ports and farms in the foreground; return the names of the files left."""
    hundred = free_hundred()
    ports = {"PORT": f"{hundred}88", "CONTROL_PORT": f"{hundred}80", "CONTROL": f"http://127.0.0.1:{hundred}80"}
    environment = environment_with_commands(folder / "bin")
    environment |= {f"COMFYFARM_{name}": value for name, value in ports.items()}
    work = folder / "empty"
    work.mkdir()
    for block in read_blocks(page):
        if block.file_name:
            (work / block.file_name).write_text(PORT.sub(rf"{hundred}\1", block.text))
    script = PORT.sub(rf"{hundred}\1", "\n".join(block.text for block in blocks_to_run(page, "sh")))
    script = FOREGROUND.sub(r"\1 &\ncomfyfarm status --wait", script)
    done = subprocess.run(
        ["bash", "-c", BEFORE + script],
        cwd=work, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return {path.name for path in work.iterdir()}


@pytest.mark.parametrize("page", pages_with("sh"))
def test_every_block_runs_as_written_one_after_the_other(page: str, tmp_path: Path) -> None:
    if "curl " in (DOCS / page).read_text("utf-8") and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    written = run_blocks(DOCS / page, tmp_path)
    if page == COMMAND_LINE.name:
        assert written >= {"config.toml", "mine.json", "pictures", "box", "run.jsonl", "run.html", "all.jsonl"}


def test_every_command_is_on_its_page() -> None:
    text = "\n".join(block.text for block in blocks_to_run(COMMAND_LINE, "sh"))
    assert set(re.findall(r"^comfyfarm (\w+)", text, re.MULTILINE)) == set(COMMANDS)
