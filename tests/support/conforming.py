"""Runs ``comfyfarm conform`` as a process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class ConformProcess:
    """A process of ``comfyfarm conform``."""

    result: Path
    urls: list[str]
    scenarios: list[str]
    files: bool = True
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        options = ["--json", str(self.result), "--only", ",".join(self.scenarios)]
        options += [] if self.files else ["--without-files"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "comfyfarm.cli.main", "conform", *self.urls, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def outcomes(self) -> dict[str, Any]:
        """Wait for the end, and return the outcome of each scenario."""
        _, errors = self.process.communicate(timeout=300)
        assert self.process.returncode in (0, 1), errors
        return dict(json.loads(self.result.read_text("utf-8"))["scenarios"])
