"""The suites of examples/suites, run as their users would."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = ROOT / "examples" / "suites"


def run(*command: str) -> str:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("suite", sorted(path.name for path in SUITES.glob("test_*.py")))
def test_a_suite_passes_under_pytest(suite: str, request: pytest.FixtureRequest) -> None:
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]
    assert " passed in " in run(sys.executable, "-m", "pytest", "-q", *plugin, str(SUITES / suite))


def test_the_suite_of_unittest_passes_without_pytest() -> None:
    assert run(sys.executable, "-m", "unittest", str(SUITES / "test_unittest.py")).endswith("OK\n")
