"""The commands of the README, pasted as they are into a clone; only the ports are others."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, ENVIRONMENT, until
from tests.support.pages import ROOT, read_blocks

DEMO, RUN, *_ = (block.text for block in read_blocks(ROOT / "README.md") if block.language == "sh")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the commands need of the project, which is installed already."""
    for name in ("demo", "run", "install"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    for name in ("pyproject.toml", "farm/comfyfarm/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    config = (ROOT / "config.toml").read_text("utf-8")
    (tmp_path / "config.toml").write_text(re.sub(r"port = 8\d+", "port = 0", config))
    bin_folder = tmp_path / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    for name, command in (("python", COMMAND[:1]), ("comfyfarm", COMMAND)):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (bin_folder / name).chmod(0o755)
    (tmp_path / ".venv" / "installed-plain").touch()
    return tmp_path


def test_the_first_block_ends_with_the_table_of_jobs(clone: Path) -> None:
    environment = {**ENVIRONMENT, "COMFYFARM_CONTROL_PORT": "1"}
    done = subprocess.run(
        ["bash", "-ec", DEMO], cwd=clone, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-28].split() == ["job", "instance", "text", "waited", "ran", "picture"]
    assert lines[-4].split()[:2] == ["24", "gamma"]
    assert lines[-3].endswith("all delivered")
    assert lines[-2:] == [
        "24 pictures: 17 different by instance and name, 17 by SHA-256",
        "alpha is static: 8 times ../input/kernie_512x768.jpg",
    ]


def test_the_second_block_runs_the_farm_until_it_is_interrupted(clone: Path) -> None:
    ready = clone / "ready.json"
    environment = {**ENVIRONMENT, "COMFYFARM_READY_FILE": str(ready)}
    command = ["bash", "-ec", f"exec {RUN}"]
    with subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: ready.exists() or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert re.findall(r"^(\w+): http://", said, re.MULTILINE) == ["alpha", "beta", "gamma", "control"]
