"""The suites of examples/suites, run as their users would."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment_with_commands

ROOT = Path(__file__).resolve().parents[2]
SUITES = ROOT / "examples" / "suites"


def run(*command: str, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("suite", sorted(path.name for path in SUITES.glob("test_*.py")))
def test_a_suite_passes_under_pytest(suite: str, request: pytest.FixtureRequest) -> None:
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]
    assert " passed in " in run(sys.executable, "-m", "pytest", "-q", *plugin, str(SUITES / suite))


def test_the_suite_of_unittest_passes_without_pytest() -> None:
    assert run(sys.executable, "-m", "unittest", str(SUITES / "test_unittest.py")).endswith("OK\n")


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
def test_the_suite_of_node_passes(tmp_path: Path) -> None:
    said = run("node", "--test", str(SUITES / "suite.test.mjs"), env=environment_with_commands(tmp_path / "bin"))
    assert "# pass 2\n" in said
    assert "# fail 0\n" in said
